"""Media as PeerTube lays it out: this module makes it with ffmpeg, of any size, and keeps it for the next run.

A short noisy clip is encoded once and repeated without encoding, so that 200 MiB take seconds. What is kept depends
only on the recipe; addresses, titles and torrents are made by the origin that serves it.
"""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

_VERSION = 3
_NAMESPACE = uuid.UUID("6f0f4b5e-6f1c-4d0a-9d0b-5eedcee9a11f")
_READ = 1 << 20
_AUDIO_KBITS = 64


class Layout(StrEnum):
    MUXED = "muxed"
    """One fragmented MP4 a rendition, with its sound."""
    SPLIT = "split"
    """Pictures in one fragmented MP4 a rendition, the sound in another (resolution 0)."""
    TS = "ts"
    """A folder of MPEG-TS segments a rendition."""
    WEB = "web"
    """A progressive MP4 a rendition, no HLS."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to make. ``kbits``: kbit/s of the first height's pictures, the others get less in proportion; None: little.

    ``seconds`` and ``segment`` in seconds, ``piece`` in bytes (a power of two). ``variant`` makes other bytes of the
    same kind.
    """

    layout: Layout = Layout.MUXED
    heights: tuple[int, ...] = (360,)
    seconds: int = 12
    segment: int = 4
    kbits: int | None = None
    piece: int = 65536
    fps: int = 25
    variant: int = 0

    @property
    def key(self) -> str:
        said = json.dumps(asdict(self) | {"version": _VERSION}, sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:20]


@dataclass(frozen=True, slots=True)
class MadeFile:
    """One rendition: ``parts`` are its files in the folder, one but for TS; ``playlist`` is empty for web videos.

    ``pieces`` are the SHA-1 hashes of its torrent; ``codecs`` as in RFC 6381; sizes in bytes and pixels.
    """

    resolution: int
    width: int
    height: int
    fps: int
    has_audio: bool
    has_video: bool
    parts: tuple[str, ...]
    sizes: tuple[int, ...]
    playlist: str
    sha256: dict[str, dict[str, str]]
    codecs: str
    pieces: str

    @property
    def size(self) -> int:
        return sum(self.sizes)

    @property
    def stem(self) -> str:
        """``{file uuid}-{resolution}``: what PeerTube's names begin with."""
        return re.sub(r"(-fragmented)?\.mp4$|-\d{5}\.ts$", "", self.parts[0])


@dataclass(frozen=True, slots=True)
class Made:
    """A video on disk: its recipe, and its renditions, highest first (the sound of SPLIT last)."""

    recipe: Recipe
    folder: Path
    uuid: str
    files: tuple[MadeFile, ...]

    @property
    def size(self) -> int:
        return sum(f.size for f in self.files)

    def path(self, part: str) -> Path:
        return self.folder / part

    def at(self, resolution: int) -> MadeFile:
        return next(f for f in self.files if f.resolution == resolution)


def make(
    layout: Layout | str = Layout.MUXED,
    heights: Sequence[int] = (360,),
    seconds: int = 12,
    *,
    segment: int = 4,
    kbits: int | None = None,
    piece: int = 65536,
    variant: int = 0,
) -> Made:
    """Return such a video, made now or in an earlier run. Blocks while ffmpeg works."""
    return made(Recipe(Layout(layout), tuple(heights), seconds, segment, kbits, piece, variant=variant))


def long_film(layout: Layout | str = Layout.MUXED, *, minutes: int = 10, variant: int = 0) -> Made:
    """Return a 720p film at 2.5 Mbit/s with 4 s segments and 1 MiB pieces: 179 MiB in ten minutes."""
    return make(layout, (720,), minutes * 60, kbits=2436, piece=1 << 20, variant=variant)


def made(recipe: Recipe) -> Made:
    """Return the video of a recipe, made now or in an earlier run."""
    folder = cache_folder() / recipe.key
    if not (folder / "made.json").exists():
        cache_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="new-") as made_in:
            files = _files(recipe, Path(made_in))
            (Path(made_in) / "made.json").write_text(json.dumps([asdict(f) for f in files]))
            try:
                os.rename(made_in, folder)
                os.mkdir(made_in)
            except OSError:
                if not (folder / "made.json").exists():
                    raise
    return load(recipe, folder)


def load(recipe: Recipe, folder: Path) -> Made:
    """Return the video that an earlier run left in ``folder``."""
    said = json.loads((folder / "made.json").read_bytes())
    files = tuple(MadeFile(**f | {"parts": tuple(f["parts"]), "sizes": tuple(f["sizes"])}) for f in said)
    return Made(recipe, folder, str(uuid.uuid5(_NAMESPACE, recipe.key)), files)


def cache_folder() -> Path:
    """Return where made media is kept: ``SEEDKEEP_TEST_MEDIA``, else a folder of ours among the temporary files."""
    told = os.environ.get("SEEDKEEP_TEST_MEDIA")
    return Path(told) if told else Path(tempfile.gettempdir()) / f"seedkeep-test-media-{os.getuid()}"


def pieces_of(paths: Sequence[Path], piece: int) -> bytes:
    """Return the SHA-1 of every piece of these files laid end to end (BEP 3)."""
    out, rest = [], b""
    for chunk in _chunks(paths):
        rest += chunk
        whole = len(rest) - len(rest) % piece
        out += [hashlib.sha1(rest[i : i + piece]).digest() for i in range(0, whole, piece)]
        rest = rest[whole:]
    return b"".join([*out, hashlib.sha1(rest).digest()] if rest else out)


def _chunks(paths: Sequence[Path]) -> Iterator[bytes]:
    for path in paths:
        with open(path, "rb") as file:
            while chunk := file.read(_READ):
                yield chunk


# How it is made


def _ffmpeg(*arguments: str | Path) -> None:
    command = ["nice", "ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")


def _files(recipe: Recipe, folder: Path) -> list[MadeFile]:
    with tempfile.TemporaryDirectory() as scratch:
        sound = Path(scratch) / "sound.m4a"
        _encode_sound(recipe, sound)
        files = []
        for height in sorted(recipe.heights, reverse=True):
            clip = Path(scratch) / f"{height}.mp4"
            _encode_clip(recipe, height, clip)
            codec = _h264_codec(clip)
            if recipe.layout is Layout.SPLIT:
                files.append(_rendition(recipe, folder, height, clip, None, codec))
            else:
                files.append(_rendition(recipe, folder, height, clip, sound, f"{codec},mp4a.40.2"))
        if recipe.layout is Layout.SPLIT:
            files.append(_rendition(recipe, folder, 0, None, sound, "mp4a.40.2"))
    return files


def width_of(height: int) -> int:
    return height * 16 // 9 // 2 * 2


def _encode_clip(recipe: Recipe, height: int, target: Path) -> None:
    """Encode a few segments; a constant bitrate needs something that is hard to encode, hence the noise."""
    source = f"testsrc2=size={width_of(height)}x{height}:rate={recipe.fps},hue=h={recipe.variant * 47 % 360}"
    rate: list[str] = ["-crf", "35"]
    if recipe.kbits is not None:
        kbits = recipe.kbits * height // max(recipe.heights)
        source += f",noise=alls=14:allf=t:all_seed={recipe.variant + 1}"
        rate = ["-b:v", f"{kbits}k", "-minrate", f"{kbits}k", "-maxrate", f"{kbits}k", "-bufsize", f"{kbits}k"]
        rate += ["-x264-params", "nal-hrd=cbr"]
    gop = str(recipe.fps * recipe.segment)
    seconds = min(recipe.seconds, 4 * recipe.segment)
    _ffmpeg("-f", "lavfi", "-i", source, "-t", str(seconds), "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt",
            "yuv420p", "-g", gop, "-keyint_min", gop, "-sc_threshold", "0", *rate, target)  # fmt: skip


def _encode_sound(recipe: Recipe, target: Path) -> None:
    source = f"sine=frequency={220 + recipe.variant % 50 * 11}:sample_rate=48000"
    _ffmpeg("-f", "lavfi", "-i", source, "-t", str(recipe.seconds), "-ac", "2", "-c:a", "aac", "-aac_coder", "fast",
            "-b:a", f"{_AUDIO_KBITS}k", target)  # fmt: skip


def _h264_codec(clip: Path) -> str:
    data = clip.read_bytes()
    return "avc1." + data[(at := data.index(b"avcC") + 5) : at + 3].hex()


def _rendition(
    recipe: Recipe, folder: Path, resolution: int, clip: Path | None, sound: Path | None, codecs: str
) -> MadeFile:
    stem = f"{uuid.uuid5(_NAMESPACE, f'{recipe.key}/{resolution}')}-{resolution}"
    inputs: list[str | Path] = ["-stream_loop", "-1", "-i", clip] if clip else []
    inputs += ["-i", sound] if sound else []
    maps = [m for i, _ in enumerate(filter(None, (clip, sound))) for m in ("-map", str(i))]
    common = [*inputs, *maps, "-t", str(recipe.seconds), "-c", "copy"]
    playlist = folder / f"{stem}.m3u8"
    hls = ["-f", "hls", "-hls_time", str(recipe.segment), "-hls_playlist_type", "vod", "-hls_segment_type"]
    match recipe.layout:
        case Layout.WEB:
            _ffmpeg(*common, "-movflags", "+faststart", folder / f"{stem}.mp4")
        case Layout.TS:
            _ffmpeg(*common, *hls, "mpegts", "-hls_segment_filename", folder / f"{stem}-%05d.ts", playlist)
        case _:
            name = folder / f"{stem}-fragmented.mp4"
            _ffmpeg(*common, *hls, "fmp4", "-hls_flags", "single_file", "-hls_segment_filename", name, playlist)
    parts = sorted(p for p in folder.iterdir() if p.name.startswith(stem) and p.suffix != ".m3u8")
    text = playlist.read_text() if playlist.exists() else ""
    return MadeFile(
        resolution=resolution,
        width=width_of(resolution),
        height=resolution,
        fps=recipe.fps if clip else 0,
        has_audio=sound is not None,
        has_video=clip is not None,
        parts=tuple(p.name for p in parts),
        sizes=tuple(p.stat().st_size for p in parts),
        playlist=text,
        sha256=_segment_hashes(folder, text),
        codecs=codecs,
        pieces=base64.b64encode(pieces_of(parts, recipe.piece)).decode(),
    )


def _segment_hashes(folder: Path, playlist: str) -> dict[str, dict[str, str]]:
    """Return what ``segments-sha256.json`` says: the media segments, not the init range."""
    hashes: dict[str, dict[str, str]] = {}
    span: tuple[int, int] | None = None
    for line in playlist.splitlines():
        if match := re.fullmatch(r"#EXT-X-BYTERANGE:(\d+)@(\d+)", line):
            span = int(match[2]), int(match[1])
        elif line and not line.startswith("#"):
            path = folder / line
            offset, length = span or (0, path.stat().st_size)
            with open(path, "rb") as file:
                file.seek(offset)
                digest = hashlib.sha256(file.read(length)).hexdigest()
            hashes.setdefault(line, {})[f"{offset}-{offset + length - 1}"] = digest
    return hashes


def clear() -> None:
    """Delete everything that was kept."""
    shutil.rmtree(cache_folder(), ignore_errors=True)
