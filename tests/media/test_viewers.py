"""Viewers of what is not held, over the real appliance: they share one download, what they watched outlives a kill, and
they are told when the budget is used up.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from appliance.domain.units import Origin as Host
from appliance.domain.units import VideoId, video_id
from appliance.follow.sources import peertube
from appliance.store import videos
from appliance.store.engine import Store
from tests.world.media import Made, make
from tests.world.origin import Origin
from tests.world.published import Published
from tests.world.service import Service
from tests.world.shapes import dumps

CATALOGUE = "catalogue.db"
SLACK = 256 * 1024
"""Media bytes that may come twice: a few pieces under way to two readers, or not yet written at a kill."""


def _film() -> Made:
    return make(heights=(360,), seconds=40, kbits=1500)


@contextmanager
def _serving(folder: Path, origin: Origin, *films: Published) -> Iterator[Service]:
    """Have a service whose catalogue knows these films, and that has no channel and no rule."""
    service = Service(folder / "box")
    service.data.mkdir(parents=True)
    asyncio.run(_know(service.data / CATALOGUE, origin, films))
    with service:
        yield service


async def _know(catalogue: Path, origin: Origin, films: tuple[Published, ...]) -> None:
    async with Store(catalogue) as store:
        for film in films:
            detail = peertube.video_detail(dumps(film.detail()), origin.base_url)
            await store.write(videos.put_detail, detail, None, datetime.now(UTC))


def _id(origin: Origin, film: Published) -> VideoId:
    return video_id(Host(origin.host), film.uuid)


def _url(service: Service) -> str:
    return str(json.loads((service.data / "service.json").read_text())["url"])


def _read(url: str) -> str:
    """Watch a film from its beginning to its end; return the digest of what came."""
    digest = hashlib.sha256()
    with httpx.stream("GET", url, timeout=60, trust_env=False) as answer:
        assert answer.status_code == 200, answer.read()
        for data in answer.iter_bytes():
            digest.update(data)
    return digest.hexdigest()


def _watched_by_three(url: str) -> list[str]:
    seen: list[str] = []
    viewers = [threading.Thread(target=lambda: seen.append(_read(url))) for _ in range(3)]
    for viewer in viewers:
        viewer.start()
    for viewer in viewers:
        viewer.join(60)
    return seen


@pytest.fixture
def tube(origin: Origin) -> Origin:
    origin.limit = None
    origin.add_channel("films")
    return origin


@pytest.mark.parametrize("torrents", [True, pytest.param(False, marks=pytest.mark.trial)], ids=["torrent", "http"])
def test_three_viewers_cost_one_download_and_a_kill_later_a_pin_costs_none(
    tmp_path: Path, tube: Origin, torrents: bool
) -> None:
    made = _film()
    film = tube.add_video(made, "films", title="Film", torrents=torrents)
    with _serving(tmp_path, tube, film) as service:
        mine = service.data / "library" / "holiday"
        mine.mkdir()
        (mine / "video.json").write_text('{"promised": false}')
        video = _id(tube, film)
        tube.forget()
        before = tube.media_bytes
        seen = _watched_by_three(f"{_url(service)}/media/{video}/360p.mp4")
        assert len(seen) == 3
        assert len(set(seen)) == 1
        assert made.size <= tube.media_bytes - before <= made.size + SLACK
        listed = service.get("/api/v1/videos?state=cached")["items"]
        assert [v["id"] for v in listed] == [video]
        service.until("/api/v1/status", lambda now: all(_arrived(busy) for busy in now["activity"]))

        service.end(signal.SIGKILL)
        service.start()
        kept = service.until(f"/api/v1/videos/{video}", lambda found: found["cached"] and found["cached"]["size"])
        assert kept["state"] == "cached"
        before = tube.media_bytes
        name = made.files[0].parts[0]
        digest = hashlib.sha256(made.path(name).read_bytes()).hexdigest()
        assert _read(f"{_url(service)}/media/{video}/file/{name}") == digest
        service.ask("POST", "/api/v1/pins", {"video_id": video})
        service.until(f"/api/v1/videos/{video}", lambda found: found["state"] == "pinned")
        assert tube.media_bytes - before <= SLACK
        assert service.get("/api/v1/videos?state=cached")["items"] == []
        assert (mine / "video.json").exists()
        assert "Traceback" not in service.log


@pytest.mark.trial
@pytest.mark.parametrize("torrents", [True, False], ids=["torrent", "http"])
def test_when_the_viewer_leaves_fetching_ends_within_seconds_and_goes_on_for_the_next(
    tmp_path: Path, tube: Origin, torrents: bool
) -> None:
    film = tube.add_video(_film(), "films", title="Film", torrents=torrents)
    tube.shape(rate=150_000)
    with _serving(tmp_path, tube, film) as service:
        url = f"{_url(service)}/media/{_id(tube, film)}/360p.mp4"
        with httpx.stream("GET", url, timeout=60, trust_env=False) as answer:
            assert next(answer.iter_raw(100_000))
        left = time.monotonic()
        at_leaving = tube.media_bytes
        seen = [at_leaving]
        while len(seen) < 4 or seen[-1] != seen[-4]:
            time.sleep(1)
            seen.append(tube.media_bytes)
            assert time.monotonic() - left < 16, seen
        print(f"nothing came any more {len(seen) - 4} s after the viewer left", seen)
        assert len(seen) - 4 <= 10
        tube.shape()
        assert _read(url)


def _arrived(busy: dict[str, dict[str, int]]) -> bool:
    return busy["activity"]["done"] == busy["activity"]["size"]


def test_when_the_budget_is_used_up_a_viewer_is_told_and_nothing_comes(tmp_path: Path, tube: Origin) -> None:
    here = tube.add_video(make(), "films", title="Here")
    away = tube.add_video(_film(), "films", title="Away")
    with _serving(tmp_path, tube, here, away) as service:
        mine, theirs = _id(tube, here), _id(tube, away)
        service.ask("POST", "/api/v1/pins", {"video_id": mine})
        service.until(f"/api/v1/videos/{mine}", lambda found: found["state"] == "pinned")
        service.ask("PUT", "/api/v1/bandwidth", {"monthly_download": 1})
        tube.forget()
        for name in ("master.m3u8", "360p.mp4"):
            refused = httpx.get(f"{_url(service)}/media/{theirs}/{name}", timeout=30, trust_env=False)
            assert refused.status_code == 503
            assert refused.json()["code"] == "quota_used"
            assert "used up until" in refused.json()["detail"]
        assert httpx.head(f"{_url(service)}/media/{theirs}/360p.mp4", timeout=30, trust_env=False).status_code == 503
        assert not tube.asked("*")
        assert httpx.get(f"{_url(service)}/media/{mine}/master.m3u8", timeout=30, trust_env=False).status_code == 200
        service.ask("PUT", "/api/v1/bandwidth", {"monthly_download": None})
        assert _read(f"{_url(service)}/media/{theirs}/360p.mp4")


@pytest.mark.trial
def test_kills_at_any_moment_lose_no_account_of_what_is_cached(tmp_path: Path, tube: Origin) -> None:
    seed = int(os.environ.get("SEEDKEEP_TEST_SEED", random.SystemRandom().randrange(1 << 30)))
    print(f"SEEDKEEP_TEST_SEED={seed}")
    chance = random.Random(seed)
    films = [tube.add_video(_film(), "films", title=f"Film {k}", torrents=k % 2 == 0) for k in range(5)]
    ids = [_id(tube, film) for film in films]
    size = _film().size
    with _serving(tmp_path, tube, *films) as service:
        library = service.data / "library"
        mine = library / "holiday.txt"
        mine.write_text("mine")
        cached = 0
        for _ in range(15):
            viewers = [threading.Thread(target=_try, args=(service, chance.choice(ids))) for _ in range(2)]
            for viewer in viewers:
                viewer.start()
            budget = chance.choice([None, size * 3 // 2, size * 5 // 2, 0])
            service.ask("PATCH", "/api/v1/settings", {"pin.cache_bytes": budget})
            _change(service, chance)
            time.sleep(chance.uniform(0.0, 1.0))
            service.end(signal.SIGKILL)
            for viewer in viewers:
                viewer.join(60)
            service.start()
            cached += _agrees(service, library, budget)
        assert cached
        for pin in service.get("/api/v1/pins")["items"]:
            service.ask("DELETE", f"/api/v1/pins/{pin['video_id']}?never=true")
        service.ask("PATCH", "/api/v1/settings", {"pin.cache_bytes": 0})
        service.until("/api/v1/pins", lambda found: not found["items"])
        service.until("/api/v1/videos?state=cached", lambda found: not found["items"])
        assert [p for p in library.rglob("*") if p.is_file() and p.name not in (".seedkeep", "holiday.txt")] == []
        assert "Traceback" not in service.log


def _try(service: Service, video: str) -> None:
    with contextlib.suppress(httpx.HTTPError, AssertionError, OSError, ValueError):
        _read(f"{_url(service)}/media/{video}/360p.mp4")


def _change(service: Service, chance: random.Random) -> None:
    """Let go of, pin or give back something that is here."""
    for line in service.get("/api/v1/videos?limit=50")["items"]:
        act = chance.choice(["let go", "pin", "give back", "nothing"])
        with contextlib.suppress(httpx.HTTPStatusError):  # somebody may be watching it
            if act == "let go" and line["state"] == "cached":
                service.ask("DELETE", f"/api/v1/videos/{line['id']}/cached")
            elif act == "pin":
                service.ask("POST", "/api/v1/pins", {"video_id": line["id"]})
            elif act == "give back" and line["wish"] == "pin":
                service.ask("DELETE", f"/api/v1/pins/{line['id']}")


def _agrees(service: Service, library: Path, budget: int | None) -> int:
    """Check the books against the disk, soon after a start: nobody watches now. Return how much is cached."""

    def settled(found: dict[str, list[dict[str, object]]]) -> bool:
        kept = {str(v["id"]) for v in found["items"]}
        room = sum(int(str(v["done"])) for v in found["items"])
        pinned = {str(pin["video_id"]) for pin in service.get("/api/v1/pins?limit=50")["items"]}
        there = {p.parent.name for p in library.glob("*/*/video.json")}
        return kept <= there and there <= kept | pinned and (budget is None or room <= budget)

    return len(service.until("/api/v1/videos?state=cached", settled)["items"])
