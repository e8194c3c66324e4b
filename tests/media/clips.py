"""Short clips in codecs that televisions do not play, pinned in a library of their own: this module makes them.

ffmpeg makes each once a run and kind.
"""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path

from appliance.clock import Clock, RealClock
from appliance.domain.pin import Pin, PinState
from appliance.domain.units import ByteCount, RenditionName, VideoId
from appliance.domain.video import RenditionKind, VideoSummary
from appliance.host.encoding import Kitchen
from appliance.library import files
from appliance.library.copies import FOLDER, Attempts, Copy, attempts, every
from appliance.library.manifest import Manifest, MediaFile, RenditionRecord
from appliance.library.marker import Library
from appliance.library.space import Floor, Space
from appliance.serve.copies import CopyOptions, TelevisionCopies
from appliance.store import pins, videos
from appliance.store.engine import Store
from appliance.store.leases import Leases
from tests.unit.house import HOST, summary

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FRAGMENTS = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof")
_FFMPEG = ("ffmpeg", "-v", "error", "-nostdin", "-y")
_PICTURE = ("-f", "lavfi", "-i", "testsrc2=size={size}:rate={rate}")
_TONE = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000")


class Clip(Enum):
    """Codecs of pictures and sound, as ffmpeg is told them, and how the file is called."""

    PLAYS = (("libx264", "-pix_fmt", "yuv420p"), ("aac",), "mp4")
    VP9 = (("libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"), ("libopus",), "mp4")
    WEBM = (("libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"), ("libopus",), "webm")
    HEVC = (("libx265", "-preset", "ultrafast", "-x265-params", "log-level=error"), ("aac", "-ac", "6"), "mp4")
    HIGH10 = (("libx264", "-pix_fmt", "yuv420p10le"), ("aac",), "mp4")
    OPUS = (("libx264", "-pix_fmt", "yuv420p"), ("libopus",), "mp4")
    AV1 = (("libsvtav1", "-preset", "12"), ("aac",), "mp4")
    AC3_TS = (("libx264", "-pix_fmt", "yuv420p"), ("ac3",), "ts")


def make(clip: Clip, folder: Path, *, seconds: float = 2, size: str = "160x90", rate: int = 25) -> Path:
    """Return the clip's file in ``folder``."""
    picture, sound, suffix = clip.value
    path = folder / f"{clip.name.lower()}-{size}-{seconds:g}-{rate}.{suffix}"
    if not path.exists():
        source = [part.format(size=size, rate=rate) for part in _PICTURE]
        layout = FRAGMENTS if suffix == "mp4" else ()
        strict = ("-strict", "-2", "-g", "25")
        subprocess.run(
            (*_FFMPEG, *source, *_TONE, "-t", str(seconds), "-c:v", *picture, "-c:a", *sound, *strict, *layout, path),
            check=True,
            timeout=120,
            capture_output=True,
        )
    return path


@dataclass
class Calm:
    """How busy others keep the machine, as a test wants it."""

    share: float | None = 0.0

    def __call__(self) -> float | None:
        return self.share


@dataclass
class Shelf:
    """A library with pinned clips, and what makes copies of them."""

    store: Store
    library: Library
    leases: Leases
    copies: TelevisionCopies
    kitchen: Kitchen
    calm: Calm

    async def pin(self, n: int, *media: Path, seconds: int = 2, height: int = 90, since: datetime = NOW) -> VideoId:
        """Pin a video whose renditions are these files, pictures and sound in each."""
        one = summary(n)
        names = await asyncio.to_thread(_lay, self.library, one, media, seconds, height)
        await self.store.promise(videos.put_summary, one, NOW)
        total = ByteCount(sum(path.stat().st_size for path in media))
        held = tuple(RenditionName(name) for name in names)
        await self.store.promise(pins.put, Pin(one.id, PinState.PINNED, held, total, total, since, pinned_at=since))
        return one.id

    def files(self) -> list[str]:
        """Return the names of all that lies where copies do."""
        folder = self.library.root / FOLDER
        return sorted(p.name for p in folder.iterdir()) if folder.exists() else []

    async def there(self) -> tuple[Copy, ...]:
        return await asyncio.to_thread(every, self.library)

    async def tried(self) -> tuple[Attempts, ...]:
        return await asyncio.to_thread(attempts, self.library)


def _lay(library: Library, one: VideoSummary, media: tuple[Path, ...], seconds: int, height: int) -> list[str]:
    """Put files into the library as one video's renditions; return their names, which are the renditions' too."""
    names = [f"{at}-{path.name}" for at, path in enumerate(media)]
    records = tuple(
        RenditionRecord(
            name=name,
            kind=RenditionKind.WEB,
            width=height * 16 // 9,
            height=height,
            fps=25.0,
            size=path.stat().st_size,
            files=(MediaFile(name=name, size=path.stat().st_size, url=f"https://{HOST}/{name}"),),
            whole=True,
            codecs="avc1.64001f,mp4a.40.2",
        )
        for name, path in zip(names, media, strict=True)
    )
    manifest = Manifest(id=one.id, origin=HOST, uuid=one.uuid, duration=seconds, renditions=records)
    folder = files.save(library, manifest)
    for name, path in zip(names, media, strict=True):
        (folder / name).write_bytes(path.read_bytes())
    return names


async def eventually(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is true that nobody sends word of."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)


@asynccontextmanager
async def a_shelf(
    folder: Path, options: CopyOptions, *, kitchen: Kitchen | None = None, watches: Clock | None = None
) -> AsyncIterator[Shelf]:
    """Give a shelf; nothing runs on it yet. ``watches``: the clock by which those who watch are silent."""
    library = Library(folder / "library", "lib")
    await asyncio.to_thread(library.claim)
    clock = RealClock()
    leases, space = Leases(watches or clock), Space(library.root, Floor(ByteCount(0), 0.0))
    kitchen, calm = kitchen or Kitchen(), Calm()
    async with Store(folder / "catalogue.db") as store:
        copies = TelevisionCopies(store, library, leases, space, clock, options, kitchen, calm)
        yield Shelf(store, library, leases, copies, kitchen, calm)


def later(hours: float) -> datetime:
    return NOW + timedelta(hours=hours)
