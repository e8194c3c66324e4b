// The month's budgets, each in a plot and on a scale of its own: what was used so far as a line, where it leads as
// dashes, the budget as a dotted level.
import uPlot from "uplot";
import { size } from "./words.js";

const HEIGHT = 220;
const MARKS = 4;
const LOOKS = { upload: "internet-peers", download: "origins" };

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function day(seconds) {
  return new Date(seconds * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short" });
}

// Round steps from nothing to above the highest point.
function marks(line) {
  const most = Math.max(1, line.budget, ...line.pace.map((p) => p[1]), ...line.used.map((p) => p[1]));
  const power = 10 ** Math.floor(Math.log10(most / MARKS));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= most / MARKS) ?? 10);
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, at) => at * step);
}

function draw(place, line) {
  const stroke = style(`--class-${LOOKS[line.key]}`);
  const tables = [];
  const series = [{}];
  const add = (points, more) => {
    tables.push([points.map((p) => p[0]), points.map((p) => p[1])]);
    series.push({ stroke, width: 2, points: { show: false }, spanGaps: true, ...more });
  };
  add(line.used, { fill: `${stroke}22` });
  add(line.pace.length ? line.pace : [[line.to, null]], { dash: [6, 5] });
  add([[line.from, line.budget], [line.to, line.budget]], { dash: [2, 4], width: 1.5 });
  const levels = marks(line);
  const ink = style("--ink-2");
  const font = "14px system-ui, sans-serif";
  return new uPlot(
    {
      width: place.clientWidth,
      height: HEIGHT,
      padding: [8, 26, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: true, range: () => [line.from, line.to] }, y: { range: () => [0, levels[levels.length - 1]] } },
      series,
      axes: [
        { stroke: ink, font, grid: { show: false }, ticks: { show: false }, space: 76, size: 42, gap: 16, values: (_, at) => at.map(day) },
        { stroke: ink, font, grid: { stroke: style("--line"), width: 1 }, ticks: { show: false }, size: 74, splits: () => levels, values: (_, at) => at.map((mark) => (mark ? size(mark) : "0")) },
      ],
    },
    uPlot.join(tables),
    place,
  );
}

function figure(line) {
  const whole = document.createElement("figure");
  whole.className = "pace";
  const caption = document.createElement("figcaption");
  const dot = document.createElement("span");
  dot.className = `dot dot-${LOOKS[line.key].replace("-", "_")}`;
  const name = document.createElement("b");
  name.textContent = line.name;
  const budget = document.createElement("span");
  budget.textContent = `budget ${size(line.budget)}`;
  caption.append(dot, name, budget);
  const place = document.createElement("div");
  whole.append(caption, place);
  return [whole, place];
}

function show(line, place) {
  let plot = draw(place, line);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    plot.destroy();
    plot = draw(place, line);
  });
  let width = place.clientWidth;
  new ResizeObserver(() => {
    if (place.clientWidth === width) return;
    width = place.clientWidth;
    plot.setSize({ width, height: HEIGHT });
  }).observe(place);
}

function start(place) {
  const lines = JSON.parse(place.querySelector("script").textContent);
  const shown = lines.map(figure);
  const note = document.createElement("p");
  note.className = "legend";
  note.textContent = "Dashes: at this pace. Dots: the budget.";
  place.append(...shown.map(([whole]) => whole), note);
  lines.forEach((line, at) => show(line, shown[at][1]));
}

for (const place of document.querySelectorAll("[data-pace]")) start(place);
