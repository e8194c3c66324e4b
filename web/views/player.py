"""How a browser plays a video, and the film in small pictures below it. This module says what a page needs for both."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.domain.catalogue import VideoRecord
from appliance.domain.pin import Pin, PinState
from appliance.domain.video import RenditionKind, Storyboard, Upstream


@dataclass(frozen=True, slots=True)
class Caption:
    label: str
    language: str
    src: str


@dataclass(frozen=True, slots=True)
class Board:
    """The film in small pictures, as tiles of one: ``count`` of them in ``columns``, one every ``seconds``.

    ``width`` and ``height`` are a tile's, in pixels; ``step`` is the whole seconds between two places to go to.
    """

    src: str
    columns: int
    count: int
    width: int
    height: int
    seconds: float
    step: int
    duration: int


@dataclass(frozen=True, slots=True)
class Player:
    """``hls`` and ``file`` are addresses below the root; one may be missing. ``held``: its bytes are here."""

    hls: str | None
    file: str | None
    captions: tuple[Caption, ...]
    held: bool
    board: Board | None = None


def player(
    record: VideoRecord, pin: Pin | None, captions: Sequence[Caption], film: Board | None, *, cached: bool = False
) -> Player | None:
    """Return how a browser plays it: HLS where there is any, else the best plain file; None where neither is known.

    Renditions that a pin holds are preferred; without one any rendition of a
    published video may be fetched as it is watched. ``cached``: it is here whole, though without a pin.
    """
    held = pin is not None and pin.state is PinState.PINNED
    if not (held or cached) and record.upstream is not Upstream.PUBLISHED:
        return None
    here = [r for r in record.renditions if not held or (pin is not None and r.name in pin.renditions)]
    base = f"media/{record.summary.id}"
    hls = f"{base}/master.m3u8" if any(r.kind is RenditionKind.HLS for r in here) else None
    plain = sorted((r for r in here if r.kind is RenditionKind.WEB and r.has_audio), key=lambda r: r.height)
    file = f"{base}/{plain[-1].name}.mp4" if plain and hls is None else None
    # A pinned video whose details were lost with the catalogue still has its playlist.
    if held and hls is None and file is None:
        hls = f"{base}/master.m3u8"
    return Player(hls, file, tuple(captions), held or cached, film) if hls or file else None


def board(ident: str, found: Storyboard | None, duration: int) -> Board | None:
    """Return a storyboard as the page draws it; None where its numbers make no picture of a film of ``duration`` s."""
    if found is None or duration <= 0 or min(found.tile_width, found.tile_height) <= 0 or found.interval <= 0:
        return None
    columns, rows = found.total_width // found.tile_width, found.total_height // found.tile_height
    count = min(columns * rows, math.ceil(duration / found.interval))
    if count < 2:
        return None
    return Board(
        src=f"media/{ident}/storyboard.jpg",
        columns=columns,
        count=count,
        width=found.tile_width,
        height=found.tile_height,
        seconds=found.interval,
        step=max(1, min(round(found.interval), duration // 20)),
        duration=duration,
    )
