"""The media path alone, for the bench: this module serves one big held file, prints its port and runs until stopped.

Loop and protocol class are the daemon's.
"""

import asyncio
import socket
import sys
from pathlib import Path

import uvicorn
import uvloop

from appliance.domain.units import RenditionName, VideoId
from appliance.serve.media import create_media_app
from appliance.serve.wire import WireProtocol
from tests.media.shelf import Notes, empty_shelf, rendition


class _Silent(Notes):
    def count(self, video: VideoId, rendition: RenditionName, is_lan: bool, size: int) -> None:
        """Count nothing: a list of all chunks is no part of the product."""

    def renew(self, video: VideoId, holder: str) -> None:
        """Remember nothing."""


def main(folder: Path) -> None:
    shelf, notes = empty_shelf(folder), _Silent()
    shelf.add(rendition("big", 720, (folder / "big.mp4").read_bytes()))
    app = create_media_app(shelf, notes, notes.count, notes.throttle)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        print(listening.getsockname()[1], flush=True)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws="none",
                http=WireProtocol,
            )
        )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.serve(sockets=[listening]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
