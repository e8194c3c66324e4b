// Every page: htmx for forms and lists, live updates, the rates of this moment.
import "htmx.org";
import { startLive } from "./live.js";

document.documentElement.classList.add("js");
if (document.body.hasAttribute("data-live-pages")) startLive();

const PICTURES = ":is(.thumb, .avatar) img";

// A picture that is not here leaves the drawing or the letter behind it, and is asked for once more: it comes after the video.
function missing(picture) {
  if (!picture.matches?.(PICTURES)) return;
  picture.hidden = true;
  if (picture.dataset.asked) return;
  picture.dataset.asked = "again";
  picture.loading = "eager";
  setTimeout(() => picture.isConnected && (picture.src = picture.src), 4000);
}
document.addEventListener("error", (event) => missing(event.target), true);
document.addEventListener("load", (event) => event.target.matches?.(`${PICTURES}[hidden]`) && (event.target.hidden = false), true);
for (const picture of document.querySelectorAll(PICTURES)) {
  if (picture.complete && !picture.naturalWidth && picture.currentSrc) missing(picture);
}

// One sheet or menu at a time, closed by Escape or by a click elsewhere.
document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("details.tabs-more[open]")) {
    if (!open.contains(event.target)) open.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = document.querySelector("details.tabs-more[open]");
  if (open) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});

// A limit or a size chosen in its own field also chooses the option it belongs to.
document.addEventListener("input", (event) => {
  const field = event.target;
  const choice = { budget: "bytes", budget_share: "share" }[field.name];
  const radio = choice && field.form?.querySelector(`input[name=budget_kind][value=${choice}]`);
  if (radio) radio.checked = true;
  if (field.name === "channels" && field.checked) {
    const some = field.form.querySelector("input[name=scope][value=some]");
    if (some) some.checked = true;
  }
});

// A part that could not be fetched again stays as it was: no page of an error, ours or a proxy's, takes its place.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { requestConfig, xhr } = event.detail;
  if (requestConfig.verb === "get" && xhr.status >= 500) event.detail.shouldSwap = false;
});
