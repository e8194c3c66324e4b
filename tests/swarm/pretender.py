"""A peer that claims to have everything and sends zeros, as its own process.

``python -m tests.swarm.pretender INFO_HASH PIECES HOST``: it prints its port and goes on until it is ended.
"""

import asyncio
import sys

from tests.world.doorman import answering, at_the_door


async def pretend(info_hash: str, pieces: int, host: str) -> None:
    async with at_the_door(answering(info_hash, pieces, lambda piece, begin, length: bytes(length)), host) as (_, port):
        print(port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(pretend(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
