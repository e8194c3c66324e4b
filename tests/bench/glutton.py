"""A peer that never has enough: this module is a libtorrent session that takes torrents whole, throws them away and
takes them again.

``python -m tests.bench.glutton ADDRESS PEER FOLDER TORRENT [TORRENT …]`` until it is ended; a line of JSON twice a
second: ``at`` on the machine's monotonic clock, ``taken`` bytes so far. It knows one peer, ``PEER`` as ip:port.
"""

import json
import os
import sys
import time
from pathlib import Path

import libtorrent as lt

from tests.world import peers

_NICE = 10
"""It would be another machine: it takes what the measured one and its screens leave of the processor."""
_EVERY, _LOOK = 0.5, 0.05


class Glutton:
    """``taken`` are the payload bytes of all rounds."""

    def __init__(self, session: lt.session, peer: tuple[str, int], folder: Path, torrents: list[bytes]) -> None:
        self._session, self._peer, self._folder, self._torrents = session, peer, folder, torrents
        self._rounds = 0
        self._before = 0
        self._handles = [self._begin(number) for number in range(len(torrents))]

    @property
    def taken(self) -> int:
        return self._before + sum(handle.status().total_payload_download for handle in self._handles)

    def turn(self) -> None:
        """Begin anew what is whole."""
        for number, handle in enumerate(self._handles):
            status = handle.status()
            if status.is_seeding:
                self._before += status.total_payload_download
                self._session.remove_torrent(handle, lt.session.delete_files)
                self._handles[number] = self._begin(number)

    def _begin(self, number: int) -> lt.torrent_handle:
        self._rounds += 1
        folder = self._folder / str(self._rounds)
        return peers.add(self._session, self._torrents[number], folder, trackers=False, peers=[self._peer])


def main(address: str, peer: str, folder: str, *torrents: str) -> None:
    os.nice(_NICE)
    host, _, port = peer.rpartition(":")
    session = peers.session(address)
    glutton = Glutton(session, (host, int(port)), Path(folder), [Path(t).read_bytes() for t in torrents])
    said = time.monotonic()
    while True:
        session.pop_alerts()
        glutton.turn()
        if (now := time.monotonic()) >= said + _EVERY:
            said = now
            print(json.dumps({"at": now, "taken": glutton.taken}), flush=True)
        time.sleep(_LOOK)


if __name__ == "__main__":
    main(*sys.argv[1:])
