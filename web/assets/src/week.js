// The week is painted by dragging, or with arrows and the space bar; each stroke is saved when it ends. Without this
// script every hour is a button of its form.
const LETTERS = { f: "full", p: "polite", n: "night", o: "off" };

function start(form) {
  const cells = [...form.querySelectorAll(".hour")];
  let saved = form.dataset.week.replace(/\s/g, "");
  let hours = [...saved];
  let stroke = null;
  let last = 0;

  const brush = () => form.elements.brush.value[0];

  function show(index) {
    const cell = cells[index];
    const name = LETTERS[hours[index]];
    for (const other of Object.values(LETTERS)) cell.classList.toggle(`hour-${other}`, other === name);
    const words = form.querySelector(`input[value="${name}"]`).closest("label").querySelector("b").textContent.toLowerCase();
    cell.setAttribute("aria-label", cell.getAttribute("aria-label").replace(/, [^,]+(, now)?$/, `, ${words}$1`));
  }

  function paint(index, letter) {
    if (hours[index] === letter) return;
    hours[index] = letter;
    show(index);
  }

  // A finger that moves fast skips cells: everything between the two corners is painted.
  function between(first, second, letter) {
    const [low, high] = [Math.min(first % 24, second % 24), Math.max(first % 24, second % 24)];
    const [from, to] = [Math.min(Math.floor(first / 24), Math.floor(second / 24)), Math.max(Math.floor(first / 24), Math.floor(second / 24))];
    for (let day = from; day <= to; day += 1) for (let hour = low; hour <= high; hour += 1) paint(day * 24 + hour, letter);
  }

  async function save() {
    const text = hours.join("");
    if (text === saved) return;
    const body = new URLSearchParams({ csrf: form.elements.csrf.value, week: text });
    const headers = { "HX-Request": "true", "HX-Target": "standing" };
    try {
      const answer = await fetch(form.action, { method: "POST", body, headers });
      if (!answer.ok) throw new Error(String(answer.status));
      saved = text;
      const fresh = document.createElement("template");
      fresh.innerHTML = await answer.text();
      document.getElementById("standing").replaceWith(fresh.content);
    } catch {
      hours = [...saved];
      hours.forEach((_, index) => show(index));
    }
  }

  const indexOf = (target) => (target instanceof Element ? cells.indexOf(target.closest(".hour")) : -1);

  form.addEventListener("pointerdown", (event) => {
    const index = indexOf(event.target);
    if (index < 0 || event.button !== 0 || form.hasAttribute("data-locked")) return;
    event.preventDefault();
    stroke = { from: index, letter: brush(), before: [...hours] };
    focus(index);
    paint(index, stroke.letter);
  });
  addEventListener("pointermove", (event) => {
    if (!stroke) return;
    const index = indexOf(document.elementFromPoint(event.clientX, event.clientY));
    if (index < 0) return;
    // A stroke is a rectangle from where it began: drawing back takes it back.
    stroke.before.forEach((letter, at) => paint(at, letter));
    between(stroke.from, index, stroke.letter);
  });
  addEventListener("pointerup", () => {
    if (!stroke) return;
    stroke = null;
    save();
  });
  addEventListener("pointercancel", () => {
    stroke?.before.forEach((letter, at) => paint(at, letter));
    stroke = null;
  });

  // One stop for the tab key; arrows move, with Shift they paint along.
  function focus(index) {
    cells[last].tabIndex = -1;
    cells[index].tabIndex = 0;
    cells[index].focus();
    last = index;
  }
  cells.forEach((cell, index) => (cell.tabIndex = index === 0 ? 0 : -1));
  form.addEventListener("keydown", (event) => {
    const index = indexOf(event.target);
    if (index < 0) return;
    const wide = matchMedia("(min-width: 60rem)").matches;
    const hour = wide ? ["ArrowLeft", "ArrowRight"] : ["ArrowUp", "ArrowDown"];
    const day = wide ? ["ArrowUp", "ArrowDown"] : ["ArrowLeft", "ArrowRight"];
    const step = { [hour[0]]: -1, [hour[1]]: 1, [day[0]]: -24, [day[1]]: 24 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = index + step;
    if (next < 0 || next > 167 || (Math.abs(step) === 1 && Math.floor(next / 24) !== Math.floor(index / 24))) return;
    if (event.shiftKey) between(index, next, brush());
    focus(next);
  });
  form.addEventListener("keyup", (event) => event.key === "Shift" && save());
  // A button pressed by keyboard, or by a screen reader, is a click without a stroke.
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const index = indexOf(event.submitter);
    if (index < 0) return;
    paint(index, brush());
    save();
  });
}

for (const form of document.querySelectorAll(".week-form")) start(form);
