// The plot of days: bytes given above the line, bytes taken below it, stacked by who was at the other end.
import uPlot from "uplot";
import { size } from "./words.js";
import "./pace.js";

const HEIGHT = 240;

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function stacked(series, pick, sign, length) {
  const sum = new Array(length).fill(0);
  return series.map((one) => one[pick].map((value, day) => (sum[day] += value) * sign));
}

// Later series lie below: the tallest stack is drawn first and the others over it.
function bars(name, colour) {
  return {
    label: name,
    fill: colour,
    stroke: colour,
    width: 0,
    points: { show: false },
    paths: uPlot.paths.bars({ size: [0.62, 26], radius: [0.25, 0], gap: 1 }),
  };
}

function draw(place, data) {
  const { days, series } = data;
  const length = days.length;
  const giving = stacked(series, "up", 1, length);
  const taking = stacked(series, "down", -1, length);
  const lines = [];
  const columns = [];
  for (let index = series.length - 1; index >= 0; index -= 1) {
    const colour = style(`--class-${series[index].key.replace(/_/g, "-")}`);
    lines.push(bars(series[index].name, colour), bars(series[index].name, colour));
    columns.push(giving[index], taking[index]);
  }
  const ink = style("--ink-2");
  const grid = { stroke: style("--line"), width: 1 };
  const note = place.querySelector(".plot-note");
  const plot = new uPlot(
    {
      width: place.clientWidth,
      height: HEIGHT,
      padding: [8, 26, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: { x: { time: true, range: (_, low, high) => [low - 43200, high + 43200] }, y: { range: (_, low, high) => span(low, high) } },
      series: [{}, ...lines],
      axes: [
        { stroke: ink, font: "14px system-ui, sans-serif", grid: { show: false }, ticks: { show: false }, space: 76, size: 42, gap: 16, values: (_, marks) => marks.map((mark) => day(mark)) },
        { stroke: ink, font: "14px system-ui, sans-serif", grid, ticks: { show: false }, size: 74, space: 44, splits: (_, __, low, high) => splits(low, high), values: (_, marks) => marks.map((mark) => (mark ? size(Math.abs(mark)) : "0")) },
      ],
      hooks: {
        setCursor: [
          (self) => {
            const at = self.cursor.idx;
            note.textContent =
              at == null ? "" : `${day(days[at])}: ${size(total(series, "up", at))} given, ${size(total(series, "down", at))} taken`;
          },
        ],
      },
    },
    [days, ...columns],
    place,
  );
  return plot;
}

function total(series, pick, at) {
  return series.reduce((sum, one) => sum + one[pick][at], 0);
}

// Whole steps of 1, 2 or 5 in decimal units, so that the axis reads 200 GB and not 186 GiB.
function stepFor(low, high) {
  const rough = Math.max(1, high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
}

function span(low, high) {
  if (low == null || (low === 0 && high === 0)) return [-1, 1];
  const step = stepFor(Math.min(0, low), Math.max(0, high));
  return [Math.floor(Math.min(0, low) / step) * step, Math.ceil(Math.max(0, high) / step) * step];
}

function splits(low, high) {
  const step = stepFor(low, high);
  const marks = [];
  for (let mark = Math.ceil(low / step) * step; mark <= high + step / 1000; mark += step) marks.push(Math.abs(mark) < step / 2 ? 0 : mark);
  return marks;
}

function day(seconds) {
  return new Date(seconds * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
}

function start(place) {
  const data = JSON.parse(place.querySelector("script").textContent);
  const note = document.createElement("p");
  note.className = "plot-note";
  place.append(note);
  let plot = draw(place, data);
  const again = () => {
    plot.destroy();
    plot = draw(place, data);
  };
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", again);
  let width = place.clientWidth;
  const watcher = new ResizeObserver(() => {
    if (!place.isConnected) {
      watcher.disconnect();
      scheme.removeEventListener("change", again);
      plot.destroy();
      return;
    }
    if (place.clientWidth === width) return;
    width = place.clientWidth;
    plot.setSize({ width, height: HEIGHT });
  });
  watcher.observe(place);
}

// A part of the page that came anew brings its plot along undrawn.
function startAll() {
  for (const place of document.querySelectorAll("[data-plot]:not([data-drawn])")) {
    place.dataset.drawn = "";
    start(place);
  }
}

startAll();
document.addEventListener("htmx:afterSwap", startAll);
