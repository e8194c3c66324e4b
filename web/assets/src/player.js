// One video: hls.js where Media Source Extensions are, else the browser's own HLS, else the plain file.
// Nothing of the video is asked for before a person presses play: looking at its page is not watching it.
import { startStrip } from "./strip.js";

let video = null;
let strip = null;

function say(text) {
  const note = document.getElementById("player-note");
  if (!note) return;
  note.textContent = text;
  note.hidden = !text;
}

function playHls(address, at) {
  const hls = new window.Hls({ startPosition: at, maxBufferLength: 30, backBufferLength: 60, fragLoadPolicy: policy(60000), playlistLoadPolicy: policy(60000), manifestLoadPolicy: policy(60000, 503) });
  let mended = 0;
  hls.on(window.Hls.Events.ERROR, (_, data) => {
    if (data.response?.code === 503) tellWhy(hls, data.url ?? address, data.fatal);
    if (!data.fatal) return;
    if (data.type === window.Hls.ErrorTypes.MEDIA_ERROR && mended < 2) {
      mended += 1;
      hls.recoverMediaError();
      return;
    }
    hls.stopLoad();
    say(sentence(data));
  });
  hls.on(window.Hls.Events.FRAG_BUFFERED, () => say(""));
  video.addEventListener("play", () => {
    if (!document.getElementById("player-note")?.hidden) hls.startLoad();
  });
  hls.loadSource(address);
  hls.attachMedia(video);
  // Tests and a curious owner may look at it.
  window.seedkeepPlayer = hls;
}

// A video that is not held yet comes as it arrives: patience before the first byte, few and calm retries. An answer of
// the status `final` is told at once instead.
function policy(patience, final = 0) {
  const again = (_config, _count, _late, answer, more) => more && answer?.code !== final;
  const retry = { maxNumRetry: 4, retryDelayMs: 1000, maxRetryDelayMs: 8000, shouldRetry: again };
  return { default: { maxTimeToFirstByteMs: patience, maxLoadTimeMs: 120000, timeoutRetry: retry, errorRetry: retry } };
}

// What the house says of a video that cannot come now. Where only time helps, nothing is asked again meanwhile.
const LASTING = ["quota_used"];
let asking = false;

async function tellWhy(hls, address, anyhow) {
  if (asking) return;
  asking = true;
  try {
    const answer = await fetch(address, { headers: { range: "bytes=0-0" } });
    const problem = answer.ok ? {} : await answer.json();
    if (!problem.detail || !(anyhow || LASTING.includes(problem.code))) return;
    hls?.stopLoad();
    say([problem.detail, problem.hint].filter(Boolean).join(" "));
  } catch {
    // The usual sentence stands.
  } finally {
    asking = false;
  }
}

function sentence(data) {
  const status = data.response?.code;
  if (status === 404) return "This video is not here and cannot be had from its origin now.";
  if (status === 403 || status === 401) return "This browser may not play it. Log in first.";
  if (status === 503) return "It cannot be fetched right now: no room on the disk, or the origin does not answer. Press play to try again.";
  return "Playing stopped. Press play to try again.";
}

function open(at) {
  const address = video.dataset.hls;
  if (address && window.Hls?.isSupported()) {
    playHls(address, at);
    return;
  }
  if (address && video.canPlayType("application/vnd.apple.mpegurl")) video.src = address;
  if (!video.getAttribute("src")) say("This video cannot be played right now. It is tried again when you press play.");
  // Before anything is loaded this is where playing begins (HTML standard, "default playback start position").
  else if (at > 0) video.currentTime = at;
}

// Begins, or goes to second `at` of what has begun. From now on nothing may replace the element (live.js looks).
function begin(at = -1) {
  if ("begun" in video.dataset) {
    if (at >= 0) video.currentTime = at;
  } else {
    video.dataset.begun = "";
    video.controls = true;
    document.getElementById("player-start").hidden = true;
    if (video.hasAttribute("data-waits")) say("Asking for the first bytes…");
    open(at);
  }
  video.play().catch(() => {});
}

function setUp() {
  const found = document.getElementById("player");
  if (!found || found === video) return;
  video = found;
  strip?.();
  const button = document.getElementById("player-start");
  video.controls = false;
  button.hidden = false;
  button.addEventListener("click", () => {
    begin();
    video.focus();
  });
  // A media key, or another script.
  video.addEventListener("play", () => "begun" in video.dataset || begin());
  video.addEventListener("waiting", () => video.readyState < 3 && say("Waiting for bytes…"));
  video.addEventListener("playing", () => say(""));
  video.addEventListener("error", () => {
    say("Playing stopped. Press play to try again.");
    if (!window.seedkeepPlayer && video.currentSrc) tellWhy(null, video.currentSrc, true);
  });
  strip = startStrip(video, begin);
}

setUp();
// The page is alive: the screen may come anew while nobody watches, or for the first time.
document.addEventListener("htmx:afterSwap", setUp);
