"""A screen on the LAN that takes a file by byte ranges: this module is that player, as a program of its own.

``python -m tests.world.player URL SECONDS [BYTES_PER_SECOND]``; at its end it prints the bytes/s it got.
"""

import http.client
import sys
import time
from urllib.parse import urlsplit

SPAN = 1_250_000
"""Bytes asked for at once: 4 s of film at 2.5 Mbit/s."""
_BLOCK = 1 << 18


def take(url: str, seconds: float, rate: float = 0.0) -> float:
    """Take one span after the other for ``seconds``, from the start again at the end; return the bytes/s.

    ``rate`` is the pace in bytes/s, 0: as fast as it comes. Raises OSError, RuntimeError.
    """
    told = urlsplit(url)
    wire = http.client.HTTPConnection(told.hostname or "", told.port, timeout=10)
    begun, got, at = time.monotonic(), 0, 0
    try:
        while (now := time.monotonic()) < begun + seconds:
            if rate and (early := got / rate - (now - begun)) > 0:
                time.sleep(min(early, begun + seconds - now))
                continue
            wire.request("GET", told.path, headers={"Range": f"bytes={at}-{at + SPAN - 1}"})
            answer = wire.getresponse()
            if answer.status != 206:
                raise RuntimeError(f"{url} answers {answer.status}")
            size = int(answer.headers["Content-Range"].rpartition("/")[2])
            while block := answer.read(_BLOCK):
                got += len(block)
            at = 0 if at + SPAN >= size else at + SPAN
        return got / (time.monotonic() - begun)
    finally:
        wire.close()


if __name__ == "__main__":
    print(take(sys.argv[1], float(sys.argv[2]), *map(float, sys.argv[3:])))
