// One video: hls.js where Media Source Extensions are, else the browser's own HLS, else the plain file.
const video = document.getElementById("player");
const note = document.getElementById("player-note");

function say(text) {
  if (!note) return;
  note.textContent = text;
  note.hidden = !text;
}

function playFile() {
  say("");
  if (!video.getAttribute("src")) say("This video cannot be played right now. It is tried again when you press play.");
}

function playHls(address) {
  const hls = new window.Hls({ maxBufferLength: 30, backBufferLength: 60, fragLoadPolicy: policy(60000), playlistLoadPolicy: policy(60000), manifestLoadPolicy: policy(60000) });
  let mended = 0;
  hls.on(window.Hls.Events.ERROR, (_, data) => {
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
    if (note && !note.hidden) hls.startLoad();
  });
  hls.loadSource(address);
  hls.attachMedia(video);
  // Tests and a curious owner may look at it.
  window.seedkeepPlayer = hls;
}

// A video that is not held yet comes as it arrives: patience before the first byte, few and calm retries.
function policy(patience) {
  const retry = { maxNumRetry: 4, retryDelayMs: 1000, maxRetryDelayMs: 8000 };
  return { default: { maxTimeToFirstByteMs: patience, maxLoadTimeMs: 120000, timeoutRetry: retry, errorRetry: retry } };
}

function sentence(data) {
  const status = data.response?.code;
  if (status === 404) return "This video is not here and cannot be had from its origin now.";
  if (status === 403 || status === 401) return "This browser may not play it. Log in first.";
  if (status === 503) return "It cannot be fetched right now: no room on the disk, or the origin does not answer. Press play to try again.";
  return "Playing stopped. Press play to try again.";
}

function open() {
  const address = video.dataset.hls;
  if (address && window.Hls?.isSupported()) playHls(address);
  else if (address && video.canPlayType("application/vnd.apple.mpegurl")) video.src = address;
  else playFile();
}

// What is not here yet is only asked for when a person says so: opening a page must cost the origin nothing.
function waitForPerson(button) {
  video.controls = false;
  button.hidden = false;
  button.addEventListener("click", () => {
    button.hidden = true;
    video.controls = true;
    say("Asking for the first bytes…");
    open();
    video.play().catch(() => {});
    video.focus();
  });
}

if (video) {
  video.addEventListener("waiting", () => video.readyState < 3 && say("Waiting for bytes…"));
  video.addEventListener("playing", () => say(""));
  video.addEventListener("error", () => say("Playing stopped. Press play to try again."));
  const button = document.getElementById("player-start");
  if (button && video.hasAttribute("data-waits")) waitForPerson(button);
  else open();
}
