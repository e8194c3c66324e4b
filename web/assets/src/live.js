// Live pages: one stream of events. "rates" carries numbers; "changed" says which kinds of things changed, and the
// parts of the page that name those kinds (data-live) fetch themselves again, at most every three seconds.
import htmx from "htmx.org";
import { many, rate, size, span } from "./words.js";

const PAUSE = 3000;
const KEPT = 60;
const due = new Set();
let samples = remembered();
let source = null;
let missed = false;
let timer = 0;

export function startLive() {
  // A hidden page listens no longer: browsers allow few connections to one server, and many pages may be open.
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
  document.addEventListener("htmx:afterSwap", redraw);
  addEventListener("pagehide", rest);
  addEventListener("pageshow", (event) => event.persisted && listen());
  redraw();
  if (!document.hidden) listen();
}

function listen() {
  if (source) return;
  source = new EventSource(`${document.documentElement.dataset.root}api/v1/events`);
  source.addEventListener("rates", (event) => showRates(JSON.parse(event.data)));
  source.addEventListener("changed", (event) => noteChange(JSON.parse(event.data)));
  source.onerror = () => {
    missed = true;
  };
  // After a gap nobody knows what was missed: everything is fetched again.
  source.onopen = () => {
    if (missed) noteChange(null);
    missed = false;
  };
}

function rest() {
  source?.close();
  source = null;
  missed = true;
}

// The last minute goes along from page to page.
function remembered() {
  try {
    const kept = JSON.parse(sessionStorage.getItem("rates"));
    return kept && Date.now() - kept.at < 90000 ? kept.samples.slice(-KEPT) : [];
  } catch {
    return [];
  }
}

function remember() {
  try {
    sessionStorage.setItem("rates", JSON.stringify({ at: Date.now(), samples }));
  } catch {
    // A browser that keeps nothing begins anew on each page.
  }
}

function redraw() {
  if (!samples.length) return;
  for (const spark of document.querySelectorAll("[data-spark]")) drawSpark(spark);
}

function showRates({ up = 0, down = 0, activity = [] }) {
  activity.forEach(showProgress);
  for (const [key, value] of Object.entries({ up, down })) {
    for (const place of document.querySelectorAll(`[data-rate=${key}]`)) place.textContent = rate(value);
  }
  samples = [...samples, [up, down]].slice(-KEPT);
  remember();
  redraw();
}

// What arrives moves on the page without asking for it again.
function showProgress({ video, done, size: whole, download_rate: speed, peers, seconds_left: left }) {
  for (const place of document.querySelectorAll(`[data-video="${CSS.escape(video)}"]`)) {
    const bar = place.querySelector("progress[data-bar]");
    if (bar && whole > 0) bar.value = (100 * done) / whole;
    const words = place.querySelector("[data-progress]");
    if (words) words.textContent = `${size(done)} of ${size(whole)}`;
    const pace = place.querySelector("[data-speed]");
    if (pace) pace.textContent = rate(speed);
    const detail = place.querySelector("[data-detail]");
    if (detail) detail.textContent = [rate(speed), peers ? many(peers, "peer") : "", left == null ? "" : `about ${span(left)} left`].filter(Boolean).join(" · ");
  }
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

function noteChange(changed) {
  const kinds = changed && Object.keys(changed);
  for (const part of document.querySelectorAll("[data-live]")) {
    if (!kinds || part.dataset.live.split(" ").some((kind) => concerns(part, changed[kind]))) due.add(part.id);
  }
  if (due.size && !timer) timer = setTimeout(refreshDue, PAUSE);
}

// A part about one thing (data-live-id) is told when that one changed; an empty list of ids means any of them.
function concerns(part, ids) {
  const mine = part.dataset.liveId;
  return Boolean(ids) && (!mine || !ids.length || ids.includes(mine));
}

function refreshDue() {
  timer = 0;
  const waiting = [...due];
  due.clear();
  for (const id of waiting) {
    const part = document.getElementById(id);
    // What plays is left alone: it goes on from the same addresses, whatever became of the video meanwhile.
    if (!part || part.querySelector("video[data-begun]")) continue;
    // Nothing is pulled away from under a person's hands; it comes when they are done.
    if (document.hidden || part.contains(document.activeElement) || part.querySelector("details[open]")) due.add(id);
    else htmx.trigger(part, "refresh");
  }
  if (due.size) timer = setTimeout(refreshDue, PAUSE);
}
