// The month's budgets: what was used so far as a line, where it leads as dashes, the budget as a dotted level.
import uPlot from "uplot";
import { size } from "./words.js";

const HEIGHT = 240;
const COLOURS = { upload: "--class-internet-peers", download: "--class-origins" };

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function day(seconds) {
  return new Date(seconds * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short" });
}

function draw(place, lines) {
  const tables = [];
  const series = [{}];
  for (const line of lines) {
    const stroke = style(COLOURS[line.key]);
    const add = (points, more) => {
      tables.push([points.map((p) => p[0]), points.map((p) => p[1])]);
      series.push({ label: line.name, stroke, width: 2, points: { show: false }, spanGaps: true, ...more });
    };
    add(line.used, { fill: `${stroke}22` });
    add(line.pace.length ? line.pace : [[line.to, null]], { dash: [6, 5] });
    add([[line.from, line.budget], [line.to, line.budget]], { dash: [2, 4], width: 1.5 });
  }
  const data = uPlot.join(tables);
  const most = Math.max(1, ...lines.flatMap((line) => [line.budget, ...line.pace.map((p) => p[1]), ...line.used.map((p) => p[1])]));
  const power = 10 ** Math.floor(Math.log10(most / 4));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= most / 4) ?? 10);
  const marks = Array.from({ length: Math.ceil(most / step) + 1 }, (_, at) => at * step);
  const ink = style("--ink-2");
  const font = "14px system-ui, sans-serif";
  return new uPlot(
    {
      width: place.clientWidth,
      height: HEIGHT,
      padding: [8, 26, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: true, range: () => [lines[0].from, lines[0].to] }, y: { range: () => [0, marks[marks.length - 1]] } },
      series,
      axes: [
        { stroke: ink, font, grid: { show: false }, ticks: { show: false }, space: 76, size: 42, gap: 16, values: (_, at) => at.map(day) },
        { stroke: ink, font, grid: { stroke: style("--line"), width: 1 }, ticks: { show: false }, size: 74, splits: () => marks, values: (_, at) => at.map((mark) => (mark ? size(mark) : "0")) },
      ],
    },
    data,
    place,
  );
}

function start(place) {
  const lines = JSON.parse(place.querySelector("script").textContent);
  const legend = document.createElement("p");
  legend.className = "legend";
  for (const line of lines) {
    const item = document.createElement("span");
    item.className = "legend-item";
    const dot = document.createElement("span");
    dot.className = `dot dot-${line.key === "upload" ? "internet_peers" : "origins"}`;
    item.append(dot, `${line.name}, budget ${size(line.budget)}`);
    legend.append(item);
  }
  legend.append("Dashes: at this pace.");
  let plot = draw(place, lines);
  place.append(legend);
  const again = () => {
    plot.destroy();
    plot = draw(place, lines);
    place.append(legend);
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  let width = place.clientWidth;
  new ResizeObserver(() => {
    if (place.clientWidth === width) return;
    width = place.clientWidth;
    plot.setSize({ width, height: HEIGHT });
  }).observe(place);
}

for (const place of document.querySelectorAll("[data-pace]")) start(place);
