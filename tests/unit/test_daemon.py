"""The appliance as a process: it starts, lets nobody else at its data, stops in time, and keeps everything."""

import signal
import socket
import time
from pathlib import Path

from tests.world.media import make
from tests.world.origin import Origin
from tests.world.service import Service, seedkeep


def _pinned(answer: dict[str, list[dict[str, object]]]) -> bool:
    return bool(answer["items"]) and all(item["state"] == "pinned" for item in answer["items"])


def test_it_starts_says_so_and_ends_within_three_seconds_of_being_told(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        assert service.get("/api/v1/health")["status"] == "ok"
        assert (service.data / "library" / ".seedkeep").is_file()
        assert (service.data / "cli.token").stat().st_mode & 0o777 == 0o600
        begun = time.monotonic()
        assert service.end(signal.SIGTERM) == 0
        assert time.monotonic() - begun < 3
    assert not (service.data / "service.json").exists()
    assert "Traceback" not in service.log


def test_a_second_one_with_the_same_data_is_refused(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        done = seedkeep("run", "--data", service.data)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-2:] == [
            f"seedkeep: Another Seedkeep is running with the data folder {service.data}.",
            "  Stop it first, or give this one another folder with --data.",
        ]
        assert service.get("/api/v1/health")["status"] == "ok"


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        done = seedkeep("run", "--data", tmp_path / "data", SEEDKEEP_WEB__PORT=port)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_data_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, where a folder should be")
    done = seedkeep("run", "--data", tmp_path / "data")
    assert done.returncode == 2
    assert "cannot be written to" in done.stderr
    assert "Traceback" not in done.stderr


def test_everything_is_there_again_after_a_restart(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    with Service(tmp_path) as service:
        service.ask("POST", "/api/v1/pins", {"url": film.address})
        before = service.until("/api/v1/pins", _pinned)
        service.ask("PUT", "/api/v1/bandwidth", {"upload": 123_456})
        service.end(signal.SIGTERM)
        origin.forget()
        service.start()
        assert service.get("/api/v1/pins") == before
        assert service.get("/api/v1/bandwidth")["upload"] == 123_456
        assert service.get("/api/v1/health")["status"] == "ok"
        service.end(signal.SIGKILL)
        service.start()
        assert service.get("/api/v1/pins") == before
        assert origin.media_bytes == 0
