"""Films made anew by ffmpeg, as the humblest program on the machine: this module runs it and finds what it can use.

One at a time. Hardware encoders are tried on a second of a test picture when one is first needed; what was found is
remembered until the process ends, or until that encoder fails.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from appliance.host import humble
from appliance.host.encoders import ENCODERS, Encoder
from appliance.host.ffmpeg import OUTPUT, Finished, find_ffmpeg

TRY_SECONDS = 20.0
"""Time that an encoder has for a second of test picture."""
STALL_SECONDS = 1800.0
"""A run that gets no further for so long hangs; putting the index in front of a large film takes a while."""
SOFTWARE_MEMORY = 4 * 1024**3
"""Address space of a run without hardware, in bytes: hostile media may ask for pictures of any size."""
MOST_PIXELS = 8192 * 4352
"""Pixels of a picture that is decoded at most."""
_CHUNK = 1024 * 1024
_MOST_LINE = 4096
_FORMATS = {
    **dict.fromkeys((".mp4", ".m4v", ".m4s", ".m4a", ".mov"), "mov"),
    ".ts": "mpegts",
    **dict.fromkeys((".webm", ".mkv"), "matroska"),
}


def form_of(name: str) -> str | None:
    """Return ffmpeg's name of a media file's container, by its extension; None for what is not taken."""
    return _FORMATS.get(Path(name).suffix.lower())


@dataclass(frozen=True, slots=True)
class Reel:
    """One input: files of one container that are read one after the other, as a playlist lists them."""

    files: tuple[Path, ...]
    form: str


@dataclass(frozen=True, slots=True)
class Job:
    """What to make of ``pictures``, and of ``sound`` where that lies apart. ``target`` is there and is written over.

    ``seconds`` is the length; ``kbits`` bounds the pictures' rate in kbit/s; ``rate`` (pictures a second) None: as it
    is. ``copy_pictures`` and ``copy_sound`` take them over unchanged.
    """

    pictures: Reel
    sound: Reel | None
    target: Path
    seconds: int
    kbits: int
    copy_pictures: bool = False
    copy_sound: bool = False
    rate: float | None = None


Progress = Callable[[float, int], None]
"""(seconds of the film that are made, bytes written)"""


class Kitchen:
    """See the module. Call it from the loop. ``program`` None: looked for at first use."""

    def __init__(self, program: Path | None = None, *, threads: int | None = None) -> None:
        self._program = program
        self.threads = threads or (1 if (os.cpu_count() or 1) <= 2 else 2)
        self._distrusted: set[str] = set()
        self._chosen: Encoder | None = None
        self._turn, self._trying = asyncio.Lock(), asyncio.Lock()
        self._running: Process | None = None
        self._resting = False
        self._limit: asyncio.Timeout | None = None

    async def encoder(self) -> Encoder | None:
        """Return the encoder to use, tried now where it was not yet; None where there is none."""
        async with self._trying:
            if self._chosen is None and await self.program() is not None:
                for one in ENCODERS:
                    if one.name not in self._distrusted and await self._works(one):
                        self._chosen = one
                        break
            return self._chosen

    def distrust(self, encoder: Encoder) -> None:
        """Never choose this one again: it failed, or made something other than it should."""
        self._distrusted.add(encoder.name)
        self._chosen = None

    async def program(self) -> Path | None:
        """Return ffmpeg, None where there is none."""
        if self._program is None:
            self._program = await asyncio.to_thread(find_ffmpeg)
        return self._program

    def rest(self) -> None:
        """Stop what is running, until ``go_on``; what is begun later stops at once."""
        self._resting = True
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._resting = False
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._limit is not None:
            with contextlib.suppress(RuntimeError):  # it is just expiring
                self._limit.reschedule(None if self._resting else asyncio.get_running_loop().time() + STALL_SECONDS)
        if self._running is not None and self._running.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._running.pid, number)

    async def make(self, job: Job, encoder: Encoder, progress: Progress) -> Finished:
        """Make ``job.target``; cancelling kills the run. ``code`` is None where it hung. Raises OSError."""
        fed: list[tuple[int, Reel]] = []
        arguments = [*(("-filter_threads", str(self.threads)) if not job.copy_pictures else ())]
        arguments += encoder.before if not job.copy_pictures else ()
        try:
            for reel in (job.pictures, *(() if job.sound is None else (job.sound,))):
                arguments += self._input(reel, fed)
            arguments += _output(job, encoder, self.threads)
            return await self._run(arguments, encoder, progress, fed)
        finally:
            for reading, _ in fed:
                os.close(reading)

    def _input(self, reel: Reel, fed: list[tuple[int, Reel]]) -> tuple[str, ...]:
        """The arguments of one input: a file, or a pipe that is fed with several."""
        hostile = ("-protocol_whitelist", "file,pipe", "-max_pixels", str(MOST_PIXELS))
        limits = (*hostile, "-threads", str(self.threads), "-f", reel.form)
        if len(reel.files) == 1:
            return (*limits, "-i", f"file:{reel.files[0]}")
        reading, writing = os.pipe()
        fed.append((reading, reel))
        threading.Thread(target=_feed, args=(writing, reel.files), name="feed", daemon=True).start()
        return (*limits, "-i", f"pipe:{reading}")

    async def _run(
        self,
        arguments: Sequence[str],
        encoder: Encoder,
        progress: Progress,
        fed: Sequence[tuple[int, Reel]] = (),
        stall: float = STALL_SECONDS,
    ) -> Finished:
        program = await self.program()
        if program is None:
            raise FileNotFoundError("ffmpeg")
        memory = 0 if encoder.is_hardware else SOFTWARE_MEMORY
        async with self._turn:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-I", "-S", humble.__file__, str(os.getpid()), str(memory), str(program)),
                *("-nostdin", "-hide_banner", "-v", "error", "-nostats", "-progress", "pipe:1", "-y"),
                *arguments,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=PIPE,
                start_new_session=True,
                pass_fds=[reading for reading, _ in fed],
                limit=65536,
            )
            self._running = process
            if self._resting:
                self._signal(signal.SIGSTOP)
            try:
                return await self._watched(process, progress, stall)
            finally:
                self._running = self._limit = None
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    await process.wait()

    async def _watched(self, process: Process, progress: Progress, stall: float) -> Finished:
        assert process.stdout is not None
        assert process.stderr is not None
        errors = asyncio.create_task(_kept(process.stderr))
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None if self._resting else stall) as limit:
                self._limit = limit
                reading = _Reading(progress)
                while line := await process.stdout.readline():
                    if reading.take(line[:_MOST_LINE]) and not self._resting:
                        limit.reschedule(loop.time() + stall)
                code = await process.wait()
            return Finished(code, b"", await errors)
        except (TimeoutError, ValueError):  # it hangs, or writes lines without end
            return Finished(None, b"", b"")
        finally:
            self._limit = None
            errors.cancel()

    async def _works(self, encoder: Encoder) -> bool:
        """Encode a second of test picture, within a limit of time."""
        folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="seedkeep-")
        target = Path(folder) / "test.mp4"
        picture = ("-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25")
        try:
            async with asyncio.timeout(TRY_SECONDS):
                codec = _codec(encoder, 3000, self.threads)
                done = await self._run(
                    (*encoder.before, *picture, "-t", "1", "-vf", encoder.form, *codec, "-f", "mp4", f"file:{target}"),
                    encoder,
                    lambda _seconds, _size: None,
                    stall=TRY_SECONDS,
                )
            return done.ok and (await asyncio.to_thread(target.stat)).st_size > 0
        except (TimeoutError, OSError):
            return False
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _output(job: Job, encoder: Encoder, threads: int) -> tuple[str, ...]:
    """Everything after the inputs. What is not picture or sound is left out: data tracks, captions, covers."""
    sound = "0:a:0?" if job.sound is None else "1:a:0?"
    pictures: tuple[str, ...] = ("-c:v", "copy")
    if not job.copy_pictures:
        # Never larger than it was, sides even, within what level 4.1 allows.
        chain = "scale='min(1920,iw)':'min(1080,ih)':force_original_aspect_ratio=decrease:force_divisible_by=2"
        if job.rate is not None:
            chain = f"fps={job.rate:.6f},{chain}"
        pictures = ("-vf", f"{chain},{encoder.form}", *_codec(encoder, job.kbits, threads))
    sounds = ("-c:a", "copy") if job.copy_sound else ("-c:a", "aac", "-b:a", "160k", "-ac", "2", "-ar", "48000")
    bounds = ("-t", str(job.seconds + 60), "-max_muxing_queue_size", "4096")
    clean = ("-map_metadata", "-1", "-map_chapters", "-1", "-dn", "-sn")
    form = ("-movflags", "+faststart", "-f", "mp4", f"file:{job.target}")
    return ("-map", "0:v:0", "-map", sound, *pictures, *sounds, *clean, *bounds, *form)


def _codec(encoder: Encoder, kbits: int, threads: int) -> tuple[str, ...]:
    return ("-c:v", encoder.name, "-threads", str(threads), *encoder.options(kbits))


class _Reading:
    """What ``-progress`` says, line by line: blocks of ``key=value`` that end with ``progress=…``."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._seconds, self._size, self._last = progress, 0.0, 0, (-1.0, -1)

    def take(self, line: bytes) -> bool:
        """Read a line; tell whether the run got further with it."""
        key, _, value = line.decode("ascii", "replace").strip().partition("=")
        number = int(value) if value.strip().lstrip("-").isdigit() and len(value) < 19 else None
        if key == "out_time_us" and number is not None:
            self._seconds = max(0.0, number / 1e6)
        elif key == "total_size" and number is not None:
            self._size = max(0, number)
        elif key == "progress":
            self._progress(self._seconds, self._size)
            further, self._last = (self._seconds, self._size) != self._last, (self._seconds, self._size)
            return further or value == "end"
        return False


def _feed(writing: int, files: Sequence[Path]) -> None:
    """Write files into a pipe, one after the other, until its reader has enough."""
    with contextlib.suppress(OSError), os.fdopen(writing, "wb", buffering=0) as pipe:
        for file in files:
            with open(file, "rb", opener=_no_links) as source:
                shutil.copyfileobj(source, _Whole(pipe), _CHUNK)


class _Whole:
    """Writes all of what it is given: a pipe may take less."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        while view:
            view = view[self._pipe.write(view) :]
        return len(data)


def _no_links(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


async def _kept(stream: asyncio.StreamReader) -> bytes:
    kept = bytearray()
    while chunk := await stream.read(65536):
        kept += chunk[: OUTPUT - len(kept)]
    return bytes(kept)
