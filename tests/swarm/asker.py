"""A session that holds a film and asks whom it met for a block of it, as its own process: it prints what each answered.

``python -m tests.swarm.asker '{"torrent", "folder", "name", "listen", "tracker", "peers"}'``. ``folder`` holds the film
as ``name``; ``peers`` are so many that claim to have everything.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from appliance.swarm.challenge import Question, challenge_peer
from appliance.swarm.port import Sample, TorrentMeta, TorrentSpec
from appliance.swarm.session import LibtorrentSwarm
from appliance.swarm.torrent import parse_torrent
from tests.swarm.torrents import quiet

_PATIENCE_SECONDS = 20


async def ask(job: dict[str, Any], meta: TorrentMeta) -> dict[str, str]:
    """Return by address what became of each challenge."""
    folder = Path(job["folder"])
    options = quiet(folder / "resume", interfaces=(job["listen"],))
    async with LibtorrentSwarm(options) as swarm:
        await swarm.add(TorrentSpec(meta, folder, (job["name"],), trackers=(job["tracker"],)))
        await swarm.start(meta.info_hash)
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while _claiming(swarm, meta) < job["peers"]:  # noqa: ASYNC110 - the session tells nobody
                await asyncio.sleep(0.05)
        answers = {}
        for seen in await swarm.peers(meta.info_hash):
            sample = await swarm.sample(meta.info_hash, lambda: 0.5)
            assert sample is not None
            answer = await challenge_peer(seen.address, meta.info_hash, question(sample), may_call=lambda _: True)
            answers[f"{seen.address[0]} {'claims all' if seen.whole else 'may have all'}"] = str(answer.kind)
        return answers


def _claiming(swarm: LibtorrentSwarm, meta: TorrentMeta) -> int:
    status = swarm.status(meta.info_hash)
    return 0 if status is None else status.whole_peers


def question(sample: Sample) -> Question:
    return Question(sample.pieces, sample.piece, sample.begin, sample.length, lambda got: got == sample.data)


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    raw = Path(told["torrent"]).read_bytes()
    print(json.dumps(asyncio.run(ask(told, parse_torrent(raw, allow_private=True)))))
