"""A budget of transfer that is used up: pinning waits and says until when, over restarts, and goes on by itself."""

import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.world.media import make
from tests.world.origin import Origin
from tests.world.service import Service


def _is(state: str) -> Any:
    return lambda answer: [item["state"] for item in answer["items"]] == [state]


def test_pinning_waits_for_quota_over_a_kill_and_goes_on_when_there_is_some(tmp_path: Path, origin: Origin) -> None:
    film = origin.add_video(make())
    with Service(tmp_path, SEEDKEEP_BANDWIDTH__TIMEZONE="Europe/Paris") as service:
        service.ask("PUT", "/api/v1/bandwidth", {"download": 100_000, "lan_download": 1000, "billing_day": 31})
        service.ask("POST", "/api/v1/pins", {"url": film.address})
        service.until("/api/v1/pins", _is("pinning"))
        service.ask("PUT", "/api/v1/bandwidth", {"monthly_download": 0})
        waiting = service.until("/api/v1/pins", _is("waiting"))["items"][0]
        assert waiting["trouble"]["code"] == "quota_used"
        assert waiting["trouble"]["message"].startswith("This month's download is used up until ")
        came = origin.media_bytes
        with pytest.raises(httpx.HTTPStatusError) as refused:
            service.ask("POST", "/api/v1/channels", {"url": film.address})
        assert refused.value.response.json()["detail"] == "Nothing may come from the internet at the moment."
        service.end(signal.SIGKILL)
        service.start()
        assert service.until("/api/v1/pins", _is("waiting"))["items"][0]["trouble"] == waiting["trouble"]
        assert service.get("/api/v1/bandwidth")["in_force"]["used_up"] == ["monthly_download"]
        assert origin.media_bytes == came
        more = {"monthly_download": 10**9, "download": None, "lan_download": None}
        service.ask("PUT", "/api/v1/bandwidth", more)
        service.until("/api/v1/pins", _is("pinned"))
        assert 0 < service.get("/api/v1/bandwidth")["month"]["down"] < 10**9
