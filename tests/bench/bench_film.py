"""Opening a film of two hours, beside what a remux to a seekable file takes. This module prints both, in one run.

``python -m tests.bench.bench_film [HOURS]``. The media's heads are in the page cache, as after pinning.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from appliance.domain.shelf import Playable, PlayableRendition
from appliance.serve.film.classic import classic_layout, disk_reader
from appliance.serve.film.layout import Text
from appliance.serve.film.reels import strip_of
from appliance.serve.film.size import film_size
from tests.media.epic import epic
from tests.media.filming import Shelf, cinema
from tests.media.shelf import VIDEO

ROUNDS = 7


def main(hours: float = 2.0) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _bench(Path(folder), int(hours * 3600))


def _bench(folder: Path, seconds: int) -> None:
    rendition = epic(folder, seconds=seconds, holes=False)
    (file,) = rendition.files
    source, target = folder / file.name, folder / "remuxed.mp4"
    size, strip = film_size(rendition, None, seconds), strip_of(rendition)
    descriptor = os.open(source, os.O_RDONLY)
    try:
        wall, cpu, index = [], [], 0
        for _ in range(ROUNDS):
            begun, used = time.perf_counter(), time.thread_time()
            layout = classic_layout([strip], size, *disk_reader({file: descriptor}))
            wall.append((time.perf_counter() - begun) * 1000)
            cpu.append((time.thread_time() - used) * 1000)
            index = sum(s.length for s in layout.stretches if isinstance(s, Text))
    finally:
        os.close(descriptor)
    print(f"film: {seconds / 3600:.1f} h, {source.stat().st_size / 1e6:.0f} MB, {len(strip.segments)} parts")
    print(f"opening it: {statistics.median(wall):.0f} ms ({min(wall):.0f} at best), processor "
          f"{statistics.median(cpu):.0f} ms; index {index / 1e6:.1f} MB in memory, on disk nothing")  # fmt: skip
    first = asyncio.run(_first(folder, rendition, seconds))
    print(f"first byte by HTTP: {first[0]:.0f} ms cold, {first[1]:.1f} ms when it is open, "
          f"{first[2]:.1f} ms where it is still arriving")  # fmt: skip
    begun = time.perf_counter()
    before = os.times()
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", source, "-c", "copy", "-movflags", "+faststart",
                    target], check=True)  # fmt: skip
    after = os.times()
    used = (after.children_user - before.children_user) + (after.children_system - before.children_system)
    took = time.perf_counter() - begun
    ratio = took * 1000 / statistics.median(wall)
    print(f"remux (ffmpeg -c copy +faststart): {took:.1f} s, processor {used:.1f} s, "
          f"{target.stat().st_size / 1e6:.0f} MB on disk: {ratio:.0f} times as long")  # fmt: skip


async def _first(folder: Path, rendition: PlayableRendition, seconds: int) -> list[float]:
    times = []
    for arriving, again in ((False, 2), (True, 1)):
        shelf = Shelf(folder, Playable(VIDEO, "An epic", seconds, (rendition,)), arriving=arriving)
        async with cinema(shelf, "720p.mp4") as place, httpx.AsyncClient() as client:
            for _ in range(again):
                begun = time.perf_counter()
                answer = await client.get(place.url, headers={"Range": "bytes=0-1023"})
                times.append((time.perf_counter() - begun) * 1000)
                assert answer.status_code == 206
    return times


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
