"""The API over real HTTP, on a real store."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from appliance.domain.pin import PinState, Wish
from appliance.domain.units import ByteCount, BytesPerSecond, VideoId
from appliance.store import cached, rules, videos
from tests.unit.house import HOST, House, a_house, a_token, fill, summary
from web.services import Activity, YieldsNow

FILMS = "https://tube.example.org/c/films"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with a_house(tmp_path, locked=frozenset({"bandwidth.download"})) as opened:
        yield opened


@pytest.fixture
async def api(house: House) -> AsyncIterator[httpx.AsyncClient]:
    secret = await a_token(house)
    async with house.served() as base:
        headers = {"authorization": f"Bearer {secret}"}
        async with httpx.AsyncClient(base_url=f"{base}/api/v1/", headers=headers) as client:
            yield client


INDIA = ZoneInfo("Asia/Kolkata")
"""Read before the loop turns: the house's stand-in looks it up there."""


def is_problem(answer: httpx.Response, status: int, code: str, field: str = "") -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert {"type", "title", "status", "detail", "code"} <= told.keys()
    assert (told["status"], told["code"], told.get("field", "")) == (status, code, field)


async def items(api: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    answer = await api.get(path)
    assert answer.status_code == 200, answer.text
    listing = answer.json()
    assert listing["total"] >= len(listing["items"])
    return list(listing["items"])


# channels


async def test_following_is_201_once_and_200_again(api: httpx.AsyncClient) -> None:
    first = await api.post("channels", json={"url": FILMS})
    again = await api.post("channels", json={"url": FILMS})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    found = await api.get(str(first.url.join(first.headers["location"])))
    assert (found.json()["id"], found.json()["title"]) == (first.json()["id"], "Films")


async def test_a_single_video_becomes_a_hand_pin(house: House, api: httpx.AsyncClient) -> None:
    became = (await api.post("channels", json={"url": "https://tube.example.org/w/7"})).json()
    assert became["kind"] == "video"
    assert (await api.get(f"videos/{became['id']}")).json()["wish"] == "pin"


async def test_an_address_that_is_none_and_an_origin_that_is_away_are_told_apart(api: httpx.AsyncClient) -> None:
    is_problem(await api.post("channels", json={"url": "nothing"}), 400, "bad_input", "url")
    away = await api.post("channels", json={"url": "https://unreachable.example/c/x"})
    is_problem(away, 422, "unreachable")
    assert away.json()["hint"]


async def test_a_channel_is_changed_refreshed_and_left(house: House, api: httpx.AsyncClient) -> None:
    ident = await fill(house, 4)
    changed = await api.patch(f"channels/{ident}", json={"when_gone": "release", "paused": True})
    assert (changed.json()["when_gone"], changed.json()["paused"], changed.json()["web_videos"]) == (
        "release",
        True,
        False,
    )
    assert changed.json()["listed"] == 4
    assert changed.json()["asked_today"] == 42
    assert (await api.post(f"channels/{ident}/refresh")).status_code == 202
    assert house.following.refreshed == [ident]
    assert (await api.delete(f"channels/{ident}")).status_code == 204
    for answer in (
        await api.get(f"channels/{ident}"),
        await api.delete(f"channels/{ident}"),
        await api.patch(f"channels/{ident}", json={}),
        await api.post(f"channels/{ident}/refresh"),
    ):
        is_problem(answer, 404, "not_found")
    assert house.planning.woken >= 2


# videos


async def test_videos_are_filtered_sorted_and_paged(house: House, api: httpx.AsyncClient) -> None:
    channel = await fill(house, 12)
    assert len(await items(api, "videos?limit=5&offset=10")) == 2
    assert [v["title"] for v in await items(api, "videos?sort=oldest&limit=1")] == ["Film 11"]
    assert {v["word"] for v in await items(api, "videos?state=kept")} == {"kept"}
    assert {v["state"] for v in await items(api, "videos?state=pinned")} == {"pinned"}
    assert [v["title"] for v in await items(api, "videos?q=FILM%2011")] == ["Film 11"]
    assert len(await items(api, f"videos?channel={channel}&state=published&limit=500")) == 12
    assert await items(api, "videos?channel=none") == []
    is_problem(await api.get("videos?state=odd"), 400, "bad_input", "state")
    is_problem(await api.get("videos?sort=odd"), 400, "bad_input", "sort")
    is_problem(await api.get("videos?limit=0"), 400, "bad_input", "limit")
    is_problem(await api.get("videos?limit=501"), 400, "bad_input", "limit")
    is_problem(await api.get("videos?offset=-1"), 400, "bad_input", "offset")


async def test_a_video_says_why_it_is_kept_and_what_of_it(house: House, api: httpx.AsyncClient) -> None:
    await fill(house, 4)
    found = (await api.get(f"videos/{summary(1).id}")).json()
    assert found["decision"]["reasons"][0]["text"].endswith(".")
    assert [(r["name"], r["promised"]) for r in found["renditions"]] == [
        ("1080p", False),
        ("720p", True),
        ("360p", False),
    ]
    assert found["pin"]["state"] == found["state"] == "pinned"
    assert found["play"] == f"/media/{summary(1).id}/master.m3u8"
    assert found["given"] > 0
    assert found["history"][0]["views"] == 10
    assert datetime.fromisoformat(found["published_at"]).utcoffset() == timedelta(0)
    is_problem(await api.get("videos/none"), 404, "not_found")


async def test_what_is_cached_is_listed_says_so_and_is_let_go(house: House, api: httpx.AsyncClient) -> None:
    await fill(house, 8)
    loose, held = summary(7).id, summary(1).id
    await house.store.promise(cached.put, loose, ByteCount(1234), house.clock.now(), whole=True)
    await house.store.promise(cached.put, held, ByteCount(99), house.clock.now())
    assert [(v["id"], v["state"], v["done"]) for v in await items(api, "videos?state=cached")] == [
        (loose, "cached", 1234)
    ]
    found = (await api.get(f"videos/{loose}")).json()
    assert (found["state"], found["pin"]) == ("cached", None)
    assert (found["cached"]["size"], found["cached"]["whole"]) == (1234, True)
    assert (await api.get(f"videos/{held}")).json()["cached"] is None
    house.keeping.watched.add(loose)
    is_problem(await api.delete(f"videos/{loose}/cached"), 409, "watched_now")
    house.keeping.watched.clear()
    assert (await api.delete(f"videos/{loose}/cached")).status_code == 204
    is_problem(await api.delete(f"videos/{loose}/cached"), 404, "not_found")
    assert (await api.get(f"videos/{loose}")).json()["state"] is None


# pins


async def test_a_hand_pin_is_made_withdrawn_and_turned_into_a_bar(house: House, api: httpx.AsyncClient) -> None:
    await fill(house, 8)
    loose, held = summary(7).id, summary(1).id
    assert (await api.post("pins", json={"video_id": loose})).status_code == 201
    assert (await api.post("pins", json={"video_id": loose})).status_code == 200
    assert (await api.delete(f"pins/{loose}")).status_code == 204
    assert (await api.get(f"videos/{loose}")).json()["wish"] is None
    is_problem(await api.delete(f"pins/{held}"), 409, "kept_by_rule")
    assert (await api.delete(f"pins/{held}?never=true")).status_code == 204
    assert (await api.get(f"videos/{held}")).json()["wish"] == "never"
    assert (await api.post("pins", json={"url": "https://tube.example.org/w/99"})).json()["kind"] == "video"


async def test_a_pin_takes_one_address_or_one_id(api: httpx.AsyncClient) -> None:
    is_problem(await api.post("pins", json={}), 400, "bad_input", "video_id")
    is_problem(await api.post("pins", json={"url": FILMS, "video_id": "x"}), 400, "bad_input", "url")
    is_problem(await api.post("pins", json={"video_id": "unknown"}), 404, "not_found")
    is_problem(await api.delete("pins/unknown"), 404, "not_found")


async def test_pins_are_listed_by_state_with_their_titles(house: House, api: httpx.AsyncClient) -> None:
    await fill(house, 12)
    await house.store.promise(videos.wish, summary(1).id, Wish.PIN)
    found = {pin["video_id"]: pin for pin in await items(api, "pins")}
    assert len(found) == 6
    assert found[summary(1).id]["hand"] is True
    assert found[summary(2).id]["hand"] is False
    assert found[summary(2).id]["title"] == "Film 2"
    assert {pin["state"] for pin in await items(api, "pins?state=pinning")} == {"pinning"}
    is_problem(await api.get("pins?state=odd"), 400, "bad_input", "state")


# rules and the plan


async def test_a_rule_is_made_changed_and_deleted(house: House, api: httpx.AsyncClient) -> None:
    channel = await fill(house, 2)
    body = {"name": "Trends", "kind": "trending", "budget": 10**12, "channels": [channel], "max_lifetime": 86_400}
    made = await api.post("rules", json=body)
    assert made.status_code == 201
    assert body.items() <= made.json().items()
    ident = made.json()["id"]
    changed = (await api.patch(f"rules/{ident}", json={"budget": None, "weight": 2.5, "paused": True})).json()
    assert (changed["budget"], changed["weight"], changed["paused"], changed["channels"]) == (
        None,
        2.5,
        True,
        [channel],
    )
    assert [rule["name"] for rule in await items(api, "rules")] == ["Recent", "Trends"]
    assert (await api.delete(f"rules/{ident}")).status_code == 204
    is_problem(await api.patch(f"rules/{ident}", json={}), 404, "not_found")
    is_problem(await api.delete(f"rules/{ident}"), 404, "not_found")
    is_problem(await api.get(f"rules/{ident}"), 404, "not_found")


BAD_RULES: list[tuple[dict[str, Any], str]] = [
    ({"budget": -1}, "budget"),
    ({"budget": 2**70}, "budget"),
    ({"budget_share": 1.5}, "budget_share"),
    ({"kind": "oldest"}, "kind"),
    ({"name": ""}, "name"),
    ({"name": "  "}, "name"),
    ({"weight": 0}, "weight"),
    ({"max_lifetime": 5, "min_lifetime": 6}, "max_lifetime"),
    ({"min_lifetime": 10**12}, "min_lifetime"),
    ({"channels": []}, "channels"),
    ({"channels": ["unknown"]}, "channels"),
    ({"channels": [3]}, "channels[0]"),
    ({"max_hight": 720}, "max_hight"),
]


async def test_a_bad_rule_is_refused_by_the_name_of_its_field(api: httpx.AsyncClient) -> None:
    for change, field in BAD_RULES:
        answer = await api.post("rules", json={"name": "A rule", "kind": "recent", **change})
        assert (answer.status_code, answer.json().get("field")) == (400, field), answer.text
    assert await items(api, "rules") == []


async def test_a_rule_without_a_name_or_that_is_no_object_is_refused(api: httpx.AsyncClient) -> None:
    is_problem(await api.post("rules", json={"kind": "recent"}), 400, "bad_input", "name")
    for content in (b"", b"[]", b"null", b"{", b"\xff", b'"x"', b"[" * 5000):
        answer = await api.post("rules", content=content, headers={"content-type": "application/json"})
        is_problem(answer, 400, "bad_input")


async def test_the_plan_tells_its_lines_its_parts_and_what_each_rule_spends(
    house: House, api: httpx.AsyncClient
) -> None:
    await fill(house, 12)
    plan = (await api.get("plan?limit=2&offset=1")).json()
    assert (plan["total"], len(plan["items"])) == (12, 2)
    assert plan["parts"]["kept"] == {"videos": 3, "bytes": 216_000_000}
    assert plan["items"][0]["reasons"][0]["text"].startswith("“Recent”")
    assert plan["rules"] == [
        {"rule": "recent", "name": "Recent", "budget": 425_000_000_000, "used": 432_000_000, "videos": 6}
    ]
    assert (plan["fetched"], plan["released"]) == (72_000_000, 72_000_000)
    assert {line["verdict"] for line in await items(api, "plan?state=going")} == {"release"}
    is_problem(await api.get("plan?state=odd"), 400, "bad_input", "state")
    assert (await items(api, "plan/changes?limit=3"))[0]["after"] in ("keep", "pin", "release")


async def test_a_preview_changes_nothing_and_a_run_answers_the_plan(house: House, api: httpx.AsyncClient) -> None:
    await fill(house, 4)
    before = await house.store.read(rules.every)
    preview = await api.post("plan/preview", json={"rules": [{"name": "All", "kind": "everything", "id": "recent"}]})
    assert (preview.status_code, preview.json()["rules"][0]["name"]) == (200, "All")
    assert await house.store.read(rules.every) == before
    assert (await api.post("plan/run")).json()["total"] == 4
    bad = {"rules": [{"name": "All", "kind": "everything", "budget": -1}]}
    answer = await api.post("plan/preview", json=bad)
    assert (answer.status_code, answer.json()["field"]) == (400, "rules[0].budget")


# bandwidth, ledger, status


async def test_limits_are_set_one_by_one_and_a_locked_one_is_not(house: House, api: httpx.AsyncClient) -> None:
    assert (await api.put("bandwidth", json={"upload": 1_000_000})).json()["upload"] == 1_000_000
    after = (await api.put("bandwidth", json={"lan_upload": 0})).json()
    assert (after["upload"], after["lan_upload"], after["locked"]) == (1_000_000, 0, ["download"])
    assert (await api.put("bandwidth", json={"upload": None})).json()["upload"] is None
    is_problem(await api.put("bandwidth", json={"download": 1}), 400, "bad_input", "bandwidth.download")
    is_problem(await api.put("bandwidth", json={"upload": -1}), 400, "bad_input", "upload")
    assert house.settings.current.bandwidth.lan_upload == 0


async def test_the_week_budgets_and_quiet_are_set_and_what_is_in_force_is_said(
    house: House, api: httpx.AsyncClient
) -> None:
    week = " ".join(["o" * 24] * 7)
    given = {"week": week, "timezone": INDIA.key, "monthly_upload": 10**10, "billing_day": 31}
    after = (await api.put("bandwidth", json=given)).json()
    assert {name: after[name] for name in given} == given
    assert (after["in_force"]["profile"], after["in_force"]["told"]) == ("off", "Off, all week.")
    assert (after["in_force"]["upload"], after["month"]["up"], after["month"]["left_up"]) == (0, 8 * 10**9, 2 * 10**9)
    assert after["month"]["expected_up"] >= 8 * 10**9
    assert after["month"]["end"].endswith("18:30:00Z")
    used_up = (await api.put("bandwidth", json={"week": "", "monthly_upload": 10**9})).json()["in_force"]
    assert (used_up["used_up"], used_up["upload"], used_up["download"]) == (["monthly_upload"], 0, None)
    quiet = await api.post("bandwidth/quiet", json={"hours": 2})
    assert (quiet.status_code, quiet.json()["in_force"]["download"]) == (200, 0)
    until = datetime.fromisoformat(quiet.json()["in_force"]["quiet_until"])
    assert abs(until - house.clock.now() - timedelta(hours=2)) < timedelta(seconds=20)
    assert (await api.delete("bandwidth/quiet")).status_code == 204
    assert (await api.get("bandwidth")).json()["in_force"]["quiet_until"] is None


async def test_what_is_held_back_for_the_household_is_told_and_switched(house: House, api: httpx.AsyncClient) -> None:
    assert (await api.get("bandwidth")).json()["yielding"] == {"why": "", "cap": None, "wait": None}
    house.spending.yielding = YieldsNow("wait", BytesPerSecond(480_000), 0.08)
    given = {"yield_to_players": False, "yield_to_household": True, "probe_host": "192.0.2.9"}
    after = (await api.put("bandwidth", json=given)).json()
    assert after["yielding"] == {"why": "wait", "cap": 480_000, "wait": 0.08}
    assert {name: after[name] for name in given} == given
    assert house.settings.current.bandwidth.yield_to_players is False
    is_problem(await api.put("bandwidth", json={"yield_to_players": "no"}), 400, "bad_input", "yield_to_players")


@pytest.mark.parametrize(
    ("field", "value"),
    [("billing_day", 32), ("polite_upload", -1), ("week", 7), ("monthly_upload", "much"), ("week", "f" * 401)],
)
async def test_a_bad_bandwidth_is_refused_by_its_name(api: httpx.AsyncClient, field: str, value: object) -> None:
    is_problem(await api.put("bandwidth", json={field: value}), 400, "bad_input", field)


@pytest.mark.parametrize("hours", [0, -2, 25, "two"])
async def test_quiet_lasts_a_day_at_most(api: httpx.AsyncClient, hours: object) -> None:
    is_problem(await api.post("bandwidth/quiet", json={"hours": hours}), 400, "bad_input", "hours")


async def test_the_ledger_is_read_by_day_and_by_rendition(house: House, api: httpx.AsyncClient) -> None:
    await fill(house, 4)
    days = await items(api, "ledger")
    assert len(days) == 30
    assert days[-1]["day"] == house.clock.now().date().isoformat()
    assert days[0]["classes"]["internet_peers"]["up"] == days[0]["up"] == 30_000_000
    assert house.spending.flushed > 0
    by = await items(api, "ledger?by=rendition")
    assert [(line["title"], line["rendition"]) for line in by] == [("Film 1", "720p"), ("Film 0", "720p")]
    today = house.clock.now().date().isoformat()
    assert len(await items(api, f"ledger?from={today}&to={today}")) == 1
    is_problem(await api.get("ledger?from=soon"), 400, "bad_input", "from")
    is_problem(await api.get("ledger?from=2026-02-02&to=2026-01-01"), 400, "bad_input", "from")
    is_problem(await api.get("ledger?by=moon"), 400, "bad_input", "by")
    assert (await api.get("ledger?to=0001-01-01")).status_code == 200


async def test_the_status_is_the_house_at_a_glance(house: House, api: httpx.AsyncClient) -> None:
    await fill(house, 12)
    house.troubles = ("The disk is full.",)
    busy = Activity(
        VideoId(summary(0).id),
        PinState.PINNING,
        ByteCount(1),
        ByteCount(2),
        BytesPerSecond(3),
        BytesPerSecond(4),
        5,
        None,
    )
    house.spending.busy = (busy,)
    house.spending.yielding = YieldsNow("player", BytesPerSecond(480_000))
    found = (await api.get("status")).json()
    said = "Full speed, all week. Holding back to 480\u00a0kB/s while a screen in the house plays."
    assert found["in_force"] == said
    assert found["holdings"]["pins"] == {"pinned": 4, "pinning": 2}
    assert found["activity"][0]["title"] == "Film 0"
    assert (found["ok"], found["troubles"]) == (False, ["The disk is full."])
    assert found["disk"]["floor"] == 5 * 10**10
    assert [(origin["origin"], origin["requests"]) for origin in found["origins"]] == [(HOST, 42)]
    health = (await api.get("health")).json()
    assert (health["status"], health["troubles"]) == ("degraded", ["The disk is full."])


# settings, tokens, logins


async def test_settings_are_listed_and_changed_all_or_none(house: House, api: httpx.AsyncClient) -> None:
    found = {option["path"]: option for option in await items(api, "settings")}
    assert found["bandwidth.download"]["locked_by"] == "SEEDKEEP_BANDWIDTH__DOWNLOAD"
    assert (found["setup.admin_password"]["secret"], found["setup.admin_password"]["value"]) == (True, None)
    after = await api.patch("settings", json={"pin.at_once": 5, "lan.name": "attic"})
    assert after.status_code == 200
    assert house.settings.current.pin.at_once == 5
    bad = await api.patch("settings", json={"pin.at_once": 500, "lan.name": "cellar"})
    assert bad.status_code == 400
    assert house.settings.current.lan.name == "attic"
    is_problem(await api.patch("settings", json={"no.such": 1}), 400, "bad_input", "no.such")


async def test_a_token_is_shown_once_and_named_once(api: httpx.AsyncClient) -> None:
    made = await api.post("tokens", json={"name": "kodi", "scope": "play"})
    assert made.status_code == 201
    assert made.json()["token"].startswith("sk_")
    listed = {token["name"]: token for token in await items(api, "tokens")}
    assert listed["kodi"]["scope"] == "play"
    assert "token" not in listed["kodi"]
    is_problem(await api.post("tokens", json={"name": "kodi", "scope": "read"}), 400, "bad_input", "name")
    is_problem(await api.post("tokens", json={"name": "x", "scope": "root"}), 400, "bad_input", "scope")
    assert (await api.delete(f"tokens/{listed['kodi']['id']}")).status_code == 204
    is_problem(await api.delete(f"tokens/{listed['kodi']['id']}"), 404, "not_found")


async def test_other_logins_are_closed(api: httpx.AsyncClient) -> None:
    assert await items(api, "logins") == []
    assert (await api.delete("logins")).status_code == 204
    is_problem(await api.delete("logins/none"), 404, "not_found")


# the edges


async def test_unknown_addresses_and_methods_are_told_as_problems(api: httpx.AsyncClient) -> None:
    is_problem(await api.get("nothing"), 404, "not_found")
    is_problem(await api.get(""), 404, "not_found")
    answer = await api.put("channels", json={})
    is_problem(answer, 405, "method_not_allowed")
    assert set(answer.headers["allow"].replace(" ", "").split(",")) >= {"GET", "POST"}


async def test_a_body_that_is_too_large_is_refused(api: httpx.AsyncClient) -> None:
    answer = await api.post("rules", content=b'{"name": "' + b"a" * 600_000 + b'"}')
    is_problem(answer, 413, "too_large")


async def test_the_description_names_every_resource_and_no_other_site(api: httpx.AsyncClient) -> None:
    answer = await api.get("openapi.json")
    paths = answer.json()["paths"]
    for path in ("/channels", "/videos/{ident}", "/pins", "/plan/preview", "/bandwidth", "/ledger", "/events"):
        assert f"/api/v1{path}" in paths
    assert "/health" in paths
    assert not any(path.startswith(("/videos", "/login")) for path in paths)


async def test_the_library_is_a_playlist_with_addresses_that_work_from_here(
    house: House, api: httpx.AsyncClient
) -> None:
    await fill(house, 6)
    base = str(api.base_url.join("/"))
    local = (await api.get(f"{base}library.m3u")).text
    port = api.base_url.port
    assert f"http://192.168.7.7:{port}/media/{summary(1).id}/master.m3u8" in local
    near = (await api.get(f"{base}library.m3u", headers={"host": "192.168.7.7:99"})).text
    assert f"http://192.168.7.7:99/media/{summary(1).id}/master.m3u8" in near
    secret = await a_token(house, "play")
    away = (await api.get(f"{base}t/{secret}/library.m3u")).text
    assert f"http://192.168.7.7:{port}/t/{secret}/media/{summary(1).id}/master.m3u8" in away


async def test_the_library_names_films_where_a_player_asks_for_them(house: House, api: httpx.AsyncClient) -> None:
    await fill(house, 6)
    base = str(api.base_url.join("/"))
    asked = await api.get(f"{base}library.m3u?form=film")
    names = [line.rpartition("/")[2] for line in asked.text.splitlines() if line.startswith("http")]
    assert names
    assert set(names) == {"720p.mp4"}
    assert (await api.get(f"{base}library.m3u?form=hls")).text == (await api.get(f"{base}library.m3u")).text
    for bad in ("", "FILM", "mp4", "film%0d%0aX", "a" * 3000):
        is_problem(await api.get(f"{base}library.m3u?form={bad}"), 400, "bad_input", "form")
