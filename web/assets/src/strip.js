// The film in small pictures below the player, where its origin made a storyboard: point to see a moment, press to go
// there. The control is a range, so that fingers, arrow keys and screen readers have it too.
export function startStrip(video, goTo) {
  const strip = document.getElementById("strip");
  if (!strip) return null;
  const numbers = ["columns", "count", "width", "height", "seconds"].map((name) => Number(strip.dataset[name]));
  const [columns, count, width, height, seconds] = numbers;
  if (!numbers.every((number) => number > 0)) return null;
  const range = strip.querySelector("input");
  const row = strip.querySelector(".strip-tiles");
  const bubble = strip.querySelector(".strip-bubble");
  const address = strip.dataset.src;
  let held = false;

  // Draws the tile of one moment into an element of this size, which it covers; what does not fit is cut off evenly.
  function draw(element, moment, across, tall) {
    const tile = Math.min(count - 1, Math.max(0, Math.floor(moment / seconds)));
    const scale = Math.max(across / width, tall / height);
    const left = (tile % columns) * width * scale + (width * scale - across) / 2;
    const top = Math.floor(tile / columns) * height * scale + (height * scale - tall) / 2;
    Object.assign(element.style, {
      width: `${across}px`,
      height: `${tall}px`,
      backgroundImage: `url("${address}")`,
      backgroundSize: `${columns * width * scale}px auto`,
      backgroundPosition: `${-left}px ${-top}px`,
    });
  }

  // As many tiles side by side as fit, each over the time that it shows.
  function fill() {
    const tall = row.clientHeight;
    const whole = row.clientWidth;
    if (!tall || !whole) return;
    const tiles = Math.min(count, Math.max(1, Math.ceil(whole / ((tall * width) / height))));
    row.replaceChildren();
    for (let place = 0; place < tiles; place += 1) {
      const tile = document.createElement("span");
      draw(tile, ((place + 0.5) / tiles) * Number(range.max), whole / tiles, tall);
      row.append(tile);
    }
  }

  function show(moment) {
    const tall = 90;
    const wide = (tall * width) / height;
    const whole = strip.clientWidth;
    draw(bubble.firstElementChild, moment, wide, tall);
    bubble.lastElementChild.textContent = clock(moment);
    const middle = (moment / Number(range.max)) * whole;
    bubble.style.left = `${Math.max(0, Math.min(whole - wide - 8, middle - wide / 2 - 4))}px`;
    bubble.hidden = false;
  }

  const hide = () => (bubble.hidden = true);

  function follow() {
    if (held) return;
    range.value = String(video.currentTime);
    range.setAttribute("aria-valuetext", clock(video.currentTime));
  }

  range.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "mouse" || held) return;
    const place = range.getBoundingClientRect();
    show(Math.max(0, Math.min(1, (event.clientX - place.left) / place.width)) * Number(range.max));
  });
  range.addEventListener("pointerleave", () => held || hide());
  range.addEventListener("blur", hide);
  range.addEventListener("input", () => {
    held = true;
    range.setAttribute("aria-valuetext", clock(Number(range.value)));
    show(Number(range.value));
  });
  range.addEventListener("change", () => {
    held = false;
    goTo(Number(range.value));
    if (!range.matches(":hover") && !range.matches(":focus-visible")) hide();
  });
  range.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  video.addEventListener("timeupdate", follow);

  // Only with its picture; without one the page is as if there were no strip.
  const picture = new Image();
  const watcher = new ResizeObserver(fill);
  picture.onload = () => {
    strip.hidden = false;
    watcher.observe(row);
  };
  picture.src = address;
  return () => {
    picture.onload = null;
    watcher.disconnect();
  };
}

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, place) => (place ? String(part).padStart(2, "0") : String(part))).join(":");
}
