"""Subtitles for screens that know nothing newer than SubRip: this module turns WebVTT (W3C) into SRT. Pure.

Only times and text are kept: no positions, no styles, no voices' names. What cannot be read is left out.
"""

import html
import re
from collections.abc import Iterator

_TIME = r"(?:(\d{1,4}):)?([0-5]\d):([0-5]\d)\.(\d{3})"
_TIMING = re.compile(rf"{_TIME}[ \t]+-->[ \t]+{_TIME}(?:[ \t].*)?")
_TAG = re.compile(r"<[^<>]*>")
_PLAIN = re.compile(r"</?[biu]>", re.IGNORECASE)
MOST_CUES = 50_000
SRT = "text/srt"
"""The type that screens know; listings and answers say the same. There is a registered one, which they do not know."""


def srt(vtt: bytes) -> bytes:
    """Return WebVTT text as SRT, in UTF-8."""
    text = vtt.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
    out = [f"{number}\n{cue}\n" for number, cue in zip(range(1, MOST_CUES + 1), _cues(text), strict=False)]
    return "\n".join(out).encode()


def _cues(text: str) -> Iterator[str]:
    for block in text.split("\n\n"):
        lines = block.strip("\n").split("\n")
        timing = next((n for n, line in enumerate(lines[:2]) if _TIMING.fullmatch(line.strip())), None)
        if timing is None:
            continue
        said = [shown for line in lines[timing + 1 :] if (shown := _shown(line))]
        if said:
            yield "\n".join((_timing(lines[timing]), *said))


def _timing(line: str) -> str:
    match = _TIMING.fullmatch(line.strip())
    groups = match.groups() if match else ()
    begin, end = (f"{int(h or 0):02}:{m}:{s},{ms}" for h, m, s, ms in (groups[:4], groups[4:]))
    return f"{begin} --> {end}"


def _shown(line: str) -> str:
    """Return a line of text: bold, italics and underlining as SRT has them, all other tags taken off."""
    kept = _TAG.sub(lambda tag: tag[0].lower() if _PLAIN.fullmatch(tag[0]) else "", line)
    return html.unescape(kept).replace("-->", "->").strip()
