"""``kill -9`` while a video is pinned, and then its origin is gone: peers have the bytes, so it goes on."""

import signal
import socket
from pathlib import Path

from tests.world.media import make
from tests.world.origin import Origin
from tests.world.peers import Peer
from tests.world.service import Service


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_killed_fetch_is_finished_from_peers_while_its_origin_is_gone(tmp_path: Path, origin: Origin) -> None:
    made = make(seconds=40)
    film = origin.add_video(made)
    (file,) = made.files
    (part,) = file.parts
    port = _free_port()
    origin.shape(rate=made.size / 15)
    with Service(tmp_path / "box", SEEDKEEP_SWARM__LISTEN_PORT=str(port)) as service:
        service.ask("POST", "/api/v1/pins", {"url": film.address})
        begun = service.until("/api/v1/pins", lambda pins: pins["items"] and pins["items"][0]["done"] > 0)
        assert begun["items"][0]["state"] == "pinning"
        service.end(signal.SIGKILL)
        origin.close()
        service.start()
        torrent, folder = tmp_path / "film.torrent", tmp_path / "seed"
        torrent.write_bytes(film.torrent(file.resolution))
        folder.mkdir()
        (folder / part).write_bytes(made.path(part).read_bytes())
        peer = ("--no-trackers", "--name", part, "--peer", f"127.0.0.1:{port}")
        service.until("/api/v1/pins", lambda pins: pins["items"][0]["state"] == "pinning")
        with Peer.begin("seed", torrent, folder, *peer):
            service.until("/api/v1/pins", lambda pins: pins["items"][0]["state"] == "pinned", 60)
        (held,) = (service.data / "library").glob(f"*/*/{part}")
        assert held.read_bytes() == made.path(part).read_bytes()
        assert "Traceback" not in service.log
