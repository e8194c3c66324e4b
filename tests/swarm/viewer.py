"""One viewer of one torrent, as its own process: it plays the start, then seeks, and prints how long each took.

``python viewer.py '{"torrent", "folder", "listen", "web_seeds", "trackers", "window", "segment", "seek", "extra"}'``
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from appliance.errors import Unreachable
from appliance.swarm.options import SwarmOptions
from appliance.swarm.port import RangeReader, TorrentMeta, TorrentSpec
from appliance.swarm.session import LibtorrentSwarm
from appliance.swarm.torrent import parse_torrent


def range_reader(client: httpx.AsyncClient, url: str) -> RangeReader:
    async def read(file_index: int, first: int, last: int) -> bytes:
        try:
            answer = await client.get(url, headers={"Range": f"bytes={first}-{last}"})
        except httpx.HTTPError as trouble:
            raise Unreachable("The origin does not answer.") from trouble
        if answer.status_code != 206:
            raise Unreachable("The origin does not give ranges.")
        return answer.content

    return read


async def play(job: dict[str, Any], meta: TorrentMeta) -> dict[str, Any]:
    options = SwarmOptions(
        resume_dir=Path(job["folder"]) / "resume",
        interfaces=(job["listen"],),
        port=0,
        dht=False,
        lsd=False,
        upnp=False,
        allow_private=True,
        extra=job.get("extra", {}),
    )
    limits = httpx.Limits(max_connections=2)
    async with httpx.AsyncClient(timeout=20, limits=limits) as client, LibtorrentSwarm(options) as swarm:
        window = range_reader(client, job["window"]) if job.get("window") else None
        await asyncio.sleep(job.get("settle", 0.3))
        begun = time.monotonic()
        spec = TorrentSpec(
            meta,
            Path(job["folder"]) / "media",
            ("video.mp4",),
            web_seeds=tuple(job.get("web_seeds", ())),
            trackers=tuple(job.get("trackers", ())),
            window=window,
        )
        await swarm.add(spec, sequential=True)
        await swarm.start(meta.info_hash)
        reader = await swarm.reader(meta.info_hash, 0)
        await _read(reader, 0, job["segment"])
        start = time.monotonic() - begun
        await _read_on(reader, job["segment"], job.get("watch", 4.0))
        begun = time.monotonic()
        await _read(reader, job["seek"], job["segment"])
        seek = time.monotonic() - begun
        await reader.close()
        status = swarm.status(meta.info_hash)
        assert status
        return {"start": start, "seek": seek, "done": status.done}


async def _read(reader: Any, offset: int, length: int) -> None:
    end = offset + length
    while offset < end:
        offset += len(await reader.read(offset, min(end - offset, 262144)))


async def _read_on(reader: Any, offset: int, seconds: float) -> None:
    """Watch on for a while, so that a seek comes upon a download in full swing."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                offset += len(await reader.read(offset, 262144))
                await asyncio.sleep(0.1)
    except TimeoutError:
        pass


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    print(json.dumps(asyncio.run(play(told, parse_torrent(Path(told["torrent"]).read_bytes(), allow_private=True)))))
