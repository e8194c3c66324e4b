"""``kill -9`` while a large video is pinned: after each restart it goes on where it was, and touches nothing else."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.world.media import Made, long_film
from tests.world.origin import Origin
from tests.world.service import Service

MIB = 1 << 20
WASTE = 16 * MIB
"""What one kill may cost in media bytes that have to come again."""


def _seen(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Return what there is in a folder, each file with inode, time of change and content."""
    return {
        str(p.relative_to(folder)): (p.stat().st_ino, p.stat().st_mtime_ns, p.stat().st_size, p.read_bytes())
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def _strangers(library: Path) -> Path:
    """Put files that are not ours into the library."""
    mine = library / "holiday"
    (mine / "deep").mkdir(parents=True)
    (mine / "film.mp4").write_bytes(b"not Seedkeep's" * 1000)
    (mine / "deep" / "video.json").write_text("{}")
    return mine


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.trial)], ids=["four kills", "twenty kills"])
@pytest.mark.parametrize("torrents", [True, pytest.param(False, marks=pytest.mark.trial)], ids=["torrent", "http"])
def test_a_fetch_that_is_killed_goes_on_and_ends_byte_identical(
    tmp_path: Path, origin: Origin, kills: int, torrents: bool
) -> None:
    made = long_film()
    assert made.size >= 150 * MIB
    seed = int(os.environ.get("SEEDKEEP_TEST_SEED", random.SystemRandom().randrange(1 << 30)))
    print(f"SEEDKEEP_TEST_SEED={seed}")
    chance = random.Random(seed)
    sibling = tmp_path / "sibling"
    sibling.mkdir()
    (sibling / "precious.txt").write_text("precious")
    film = origin.add_video(made, torrents=torrents)
    service = Service(tmp_path / "box")
    with service:
        library = service.data / "library"
        mine = _strangers(library)
        before = _seen(mine), _seen(sibling)
        origin.shape(rate=made.size / (2.5 * kills))
        service.ask("POST", "/api/v1/pins", {"url": film.address})
        service.until("/api/v1/pins", lambda pins: pins["items"])
        for _ in range(kills):
            time.sleep(chance.uniform(0.0, 3.0))
            assert service.get("/api/v1/pins")["items"][0]["state"] != "pinned", "it was pinned before it was killed"
            service.end(signal.SIGKILL)
            service.start()
        origin.shape()
        service.until("/api/v1/pins", lambda pins: pins["items"][0]["state"] == "pinned", 120)
        assert _seen(mine) == before[0]
        assert _seen(sibling) == before[1]
        _is_whole(library, made)
    assert made.size <= origin.media_bytes <= made.size + kills * WASTE
    assert "Traceback" not in service.log


def _is_whole(library: Path, made: Made) -> None:
    for file in made.files:
        for part in file.parts:
            (held,) = library.glob(f"*/*/{part}")
            assert held.read_bytes() == made.path(part).read_bytes()
