// Sizes and rates in the words of web/views/words.py.
const UNITS = ["bytes", "kB", "MB", "GB", "TB", "PB"];

export function size(count) {
  let value = count;
  let unit = 0;
  while (unit < UNITS.length - 1 && (unit === 0 ? value >= 1000 : Number(value.toFixed(value >= 99.95 ? 0 : 1)) >= 1000)) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits).replace(/\.0$/, "")}\u00a0${UNITS[unit]}`;
}

export function rate(perSecond) {
  if (perSecond < 50) return "0\u00a0kB/s";
  return perSecond < 1000 ? `${(perSecond / 1000).toFixed(1)}\u00a0kB/s` : `${size(perSecond)}/s`;
}

export function many(number, one) {
  return `${number.toLocaleString("en")}\u00a0${one}${number === 1 ? "" : "s"}`;
}

export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  for (const [unit, name] of [[86400, "day"], [3600, "hour"], [60, "minute"]]) {
    if (whole >= unit) return many(Math.floor(whole / unit), name);
  }
  return many(whole, "second");
}
