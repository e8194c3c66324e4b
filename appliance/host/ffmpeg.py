"""ffmpeg, in child processes that yield to everything else: this module finds it and runs it within limits."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import dataclass
from pathlib import Path

NICE = 19
OUTPUT = 256 * 1024
"""Bytes kept of what a run writes to each of its outputs; the rest is read and dropped."""

_CODECS = re.compile(r'CODECS="([A-Za-z0-9., _-]{1,200})"')


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run ended. ``code`` is None where it was killed for taking too long."""

    code: int | None
    output: bytes
    errors: bytes

    @property
    def ok(self) -> bool:
        return self.code == 0


def find_ffmpeg() -> Path | None:
    """Return the machine's ffmpeg, else the one that came with us, else None. Blocks: call it in a thread."""
    if found := shutil.which("ffmpeg"):
        return Path(found)
    try:
        import imageio_ffmpeg  # only where the machine has none

        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    except (RuntimeError, OSError):
        return None


class Ffmpeg:
    """Runs ffmpeg, at most ``at_once`` at a time, at the lowest priority. Cancelling a run kills it."""

    def __init__(self, program: Path, *, at_once: int = 1) -> None:
        self._program = program
        self._turn = asyncio.Semaphore(at_once)

    async def run(self, *arguments: str, seconds: float) -> Finished:
        """Run with ``arguments``; it gets nothing to read and ``seconds`` of time. Raises OSError (cannot be run)."""
        async with self._turn:
            process = await asyncio.create_subprocess_exec(
                self._program,
                "-nostdin",
                "-hide_banner",
                *arguments,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=PIPE,
                start_new_session=True,
            )
            try:
                with contextlib.suppress(OSError):
                    os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
                return await _finished(process, seconds)
            finally:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    await process.wait()

    async def codecs(self, media: Path) -> str:
        """Return a media file's codecs (RFC 6381), as ffmpeg's own HLS writer names them; empty where it cannot tell.

        A fallback for origins that do not say: copies half a second, decodes nothing.
        """
        # The writer reads H.264's profile from Annex B headers only; the filter that makes them knows no other codec.
        for filters in (("-bsf:v", "h264_mp4toannexb"), ()):
            if found := await self._codecs(media, filters):
                return found
        return ""

    async def _codecs(self, media: Path, filters: tuple[str, ...]) -> str:
        folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="seedkeep-")
        try:
            done = await self.run(
                *("-v", "error", "-protocol_whitelist", "file", "-i", f"file:{media}"),
                *("-map", "0:v:0?", "-map", "0:a:0?", "-c", "copy", *filters, "-t", "0.5", "-f", "hls"),
                *("-hls_segment_type", "mpegts" if filters else "fmp4", "-master_pl_name", "master.m3u8"),
                f"{folder}/one.m3u8",
                seconds=30,
            )
            return await asyncio.to_thread(_codecs_in, Path(folder) / "master.m3u8") if done.ok else ""
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _finished(process: Process, seconds: float) -> Finished:
    assert process.stdout is not None
    assert process.stderr is not None
    outputs = [asyncio.create_task(_kept(stream)) for stream in (process.stdout, process.stderr)]
    code: int | None = None
    try:
        async with asyncio.timeout(seconds):
            code = await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    finally:
        if process.returncode is None:
            for task in outputs:
                task.cancel()
    output, errors = await asyncio.gather(*outputs)
    return Finished(code, output, errors)


async def _kept(stream: asyncio.StreamReader) -> bytes:
    kept = bytearray()
    while chunk := await stream.read(65536):
        kept += chunk[: OUTPUT - len(kept)]
    return bytes(kept)


def _codecs_in(master: Path) -> str:
    try:
        found = _CODECS.search(master.read_text())
    except (OSError, UnicodeDecodeError):
        return ""
    return found[1] if found else ""
