// Live pages: one stream of events. "rates" carries numbers; "changed" says which kinds of things changed, and the
// parts of the page that name those kinds (data-live) fetch themselves again, at most every two seconds.
import htmx from "htmx.org";
import { rate } from "./words.js";

const PAUSE = 2000;
const KEPT = 60;
const samples = [];
const due = new Set();
let timer = 0;

export function startLive() {
  const root = document.documentElement.dataset.root;
  const source = new EventSource(`${root}api/v1/events`);
  source.addEventListener("rates", (event) => showRates(JSON.parse(event.data)));
  source.addEventListener("changed", (event) => noteChange(JSON.parse(event.data)));
  let lost = false;
  source.onerror = () => {
    lost = true;
  };
  // After a gap nobody knows what was missed: everything is fetched again.
  source.onopen = () => {
    if (lost) noteChange({});
    lost = false;
  };
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}

function showRates({ up = 0, down = 0 }) {
  for (const [key, value] of Object.entries({ up, down })) {
    for (const place of document.querySelectorAll(`[data-rate=${key}]`)) place.textContent = rate(value);
  }
  samples.push([up, down]);
  if (samples.length > KEPT) samples.shift();
  for (const spark of document.querySelectorAll("[data-spark]")) drawSpark(spark);
}

function drawSpark(svg) {
  const top = Math.max(50000, ...samples.map(([up, down]) => Math.max(up, down)));
  const step = 240 / (KEPT - 1);
  const start = 240 - (samples.length - 1) * step;
  const line = (index) =>
    samples.map((pair, at) => `${at ? "L" : "M"}${(start + at * step).toFixed(1)} ${(46 - (44 * pair[index]) / top).toFixed(1)}`).join("");
  svg.querySelector(".spark-up").setAttribute("d", line(0));
  svg.querySelector(".spark-down").setAttribute("d", line(1));
}

function noteChange({ kinds }) {
  for (const part of document.querySelectorAll("[data-live]")) {
    if (!kinds || part.dataset.live.split(" ").some((kind) => kinds.includes(kind))) due.add(part.id);
  }
  if (due.size && !timer) timer = setTimeout(refreshDue, PAUSE);
}

function refreshDue() {
  timer = 0;
  const waiting = [...due];
  due.clear();
  for (const id of waiting) {
    const part = document.getElementById(id);
    if (!part) continue;
    // Nothing is pulled away from under a person's hands; it comes when they are done.
    if (document.hidden || part.contains(document.activeElement) || part.querySelector("details[open]")) due.add(id);
    else htmx.trigger(part, "refresh");
  }
  if (due.size) timer = setTimeout(refreshDue, PAUSE);
}
