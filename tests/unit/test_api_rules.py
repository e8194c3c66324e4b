"""Rules, previews, the plan seen, questions and exports over real HTTP, on a real store; plans by the real policies."""

import tomllib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.domain.catalogue import OriginToday
from appliance.domain.pin import Wish
from appliance.domain.plan import CopySource, Decision, Disk, Plan, Reason, ReasonCode, Rule, Verdict
from appliance.domain.traffic import Budget
from appliance.domain.units import ByteCount, BytesPerSecond, RuleId
from appliance.plan import census
from appliance.store import copies, decisions, origins, rules, videos
from policies import plan as planned
from tests.unit.house import HOST, House, a_house, a_token, fill, summary
from tests.unit.test_api import is_problem, items

EVERY_FIELD: dict[str, Any] = {
    "name": "All of it",
    "kind": "trending",
    "channels": None,
    "tags": ["film"],
    "budget": None,
    "budget_share": 0.25,
    "channel_budget": 5 * 10**9,
    "most": 50,
    "per_channel": 5,
    "min_lifetime": 86_400,
    "max_lifetime": 864_000,
    "max_height": None,
    "smallest": True,
    "filters": {
        "min_views": 1,
        "max_views": 10**6,
        "min_age": 60,
        "max_age": 600_000,
        "min_duration": 10,
        "max_duration": 7200,
        "min_size": 1000,
        "max_size": 10**10,
        "languages": ["en", "fr"],
        "categories": ["Films"],
        "tags": ["boat"],
        "nsfw": False,
        "include": ["news", "part * of"],
        "exclude": ["*trailer*"],
    },
    "half_life": 43_200,
    "keep_below": 3,
    "ratio": 1.5,
    "seed_below": 4,
    "watched": "drop",
    "weight": 2.5,
    "paused": False,
}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with a_house(tmp_path) as opened:
        yield opened


@pytest.fixture
async def api(house: House) -> AsyncIterator[httpx.AsyncClient]:
    secret = await a_token(house)
    async with house.served() as base:
        headers = {"authorization": f"Bearer {secret}"}
        async with httpx.AsyncClient(base_url=f"{base}/api/v1/", headers=headers) as client:
            yield client


@pytest.fixture
def really(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plan by the real policies over the store instead of keeping everything."""

    async def preview(wanted: tuple[Rule, ...]) -> Plan:
        disk: Disk = await house.keeping.disk()
        week = timedelta(days=7)
        world = await census.take(house.store, house.leases, disk, house.clock, web_videos=False, protect_after=week)
        return planned(world, wanted, house.clock.now())

    monkeypatch.setattr(house.planning, "preview", preview)


# rules


async def test_every_field_of_a_rule_goes_in_and_comes_out(house: House, api: httpx.AsyncClient) -> None:
    made = await api.post("rules", json=EVERY_FIELD)
    assert made.status_code == 201, made.text
    ident = made.json()["id"]
    assert made.json() == {**EVERY_FIELD, "id": ident}
    assert (await api.get(f"rules/{ident}")).json() == made.json()
    stored = await house.store.read(rules.one, RuleId(ident))
    assert stored is not None
    assert set(made.json()) == set(Rule.__slots__)
    assert set(made.json()["filters"]) == set(type(stored.filters).__slots__)


async def test_a_change_touches_only_what_it_names_also_within_the_filters(api: httpx.AsyncClient) -> None:
    made = (await api.post("rules", json=EVERY_FIELD)).json()
    change: dict[str, Any] = {
        "filters": {"max_views": None, "include": []},
        "keep_below": None,
        "smallest": False,
        "max_height": 720,
    }
    changed = await api.patch(f"rules/{made['id']}", json=change)
    assert changed.status_code == 200, changed.text
    wanted = {**made, "keep_below": None, "smallest": False, "max_height": 720}
    wanted["filters"] = {**made["filters"], "max_views": None, "include": []}
    assert changed.json() == wanted


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"budget": -1}, "budget"),
        ({"budget": 0}, "budget"),
        ({"budget_share": 1.5}, "budget_share"),
        ({"kind": "odd"}, "kind"),
        ({"name": "  "}, "name"),
        ({"kind": "last_n", "per_channel": None}, "per_channel"),
        ({"max_height": 720}, "smallest"),
        ({"max_lifetime": 3600}, "max_lifetime"),
        ({"min_lifetime": -1}, "min_lifetime"),
        ({"half_life": 10**30}, "half_life"),
        ({"weight": 0}, "weight"),
        ({"ratio": -2}, "ratio"),
        ({"tags": []}, "tags"),
        ({"channels": ["nowhere"]}, "channels"),
        ({"filters": {"min_views": 5, "max_views": 2}}, "filters.max_views"),
        ({"filters": {"min_age": -5}}, "filters.min_age"),
        ({"filters": {"include": ["**"]}}, "filters.include"),
        ({"filters": {"include": ["a"], "exclude": ["a"]}}, "filters.exclude"),
        ({"filters": {"viewz": 5}}, "filters.viewz"),
        ({"budgett": 5}, "budgett"),
        ({"most": "many"}, "most"),
        ({"filters": {"nsfw": "yes"}}, "filters.nsfw"),
    ],
)
async def test_a_bad_rule_is_refused_with_its_field_named(
    house: House, api: httpx.AsyncClient, wrong: dict[str, Any], field: str
) -> None:
    answer = await api.post("rules", json={**EVERY_FIELD, **wrong})
    assert answer.status_code == 400, answer.text
    assert answer.json()["field"] == field, answer.text
    assert answer.json()["detail"]
    assert await house.store.read(rules.every) == ()
    listed = await api.post("plan/preview", json={"rules": [{**EVERY_FIELD, **wrong}]})
    assert listed.status_code == 400
    if field != "channels":
        assert listed.json()["field"] == f"rules[0].{field}"


async def test_rules_are_exported_as_a_file_and_brought_back(house: House, api: httpx.AsyncClient) -> None:
    await api.post("rules", json=EVERY_FIELD)
    text = (await api.get("rules/file")).text
    assert tomllib.loads(text)["rule"][0]["name"] == "All of it"
    before = await house.store.read(rules.every)
    assert (await api.put("rules", json={"rules": []})).json() == {"total": 0, "items": []}
    assert await house.store.read(rules.every) == ()
    back = await api.put("rules", json={"file": text})
    assert back.status_code == 200, back.text
    assert await house.store.read(rules.every) == before


async def test_a_file_of_an_older_version_is_migrated_and_a_bad_one_names_the_field(
    house: House, api: httpx.AsyncClient
) -> None:
    old = '[[rule]]\nid = "old"\nname = "Old"\nkind = "recent"\nmin_views = 7\nmax_lifetime_days = 14\n'
    assert (await api.put("rules", json={"file": old})).status_code == 200
    (made,) = await house.store.read(rules.every)
    assert (made.filters.min_views, made.max_lifetime) == (7, timedelta(days=14))
    for wrong, field in (
        (old + "views = 1\n", "views"),
        ("version = 99", "version"),
        ("version = [", ""),
        ('version = 2\n[[rule]]\nid="a"\nname="A"\nkind="recent"\nfilters={min_veiws=1}', "filters.min_veiws"),
    ):
        answer = await api.put("rules", json={"file": wrong})
        is_problem(answer, 400, "bad_rule", field)
    assert await house.store.read(rules.every) == (made,)
    is_problem(await api.put("rules", json={}), 400, "bad_input", "rules")


async def test_an_id_that_no_address_could_name_is_refused(api: httpx.AsyncClient) -> None:
    for ident in ("a/b", "new", "..", "a b", "preview"):
        answer = await api.put("rules", json={"rules": [{"name": "A", "kind": "recent", "id": ident}]})
        is_problem(answer, 400, "bad_rule", "id")


async def test_presets_are_listed_with_their_rules(api: httpx.AsyncClient) -> None:
    found = {one["id"]: one for one in await items(api, "rules/presets")}
    assert [found[name]["name"] for name in ("archive", "news", "rescue", "family")] == [
        "Archive a channel",
        "Keep up with the news",
        "Rescue what is rare",
        "Family TV",
    ]
    assert found["family"]["rules"][0]["filters"]["nsfw"] is False


# previews


@pytest.mark.usefixtures("really")
async def test_a_preview_says_what_comes_and_goes_how_long_it_takes_and_the_disk(
    house: House, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(house, 12)
    kind = type(house.spending)
    monkeypatch.setattr(kind, "budget", Budget(download=BytesPerSecond(1_000_000)))
    before = await house.store.read(rules.every)
    more = (await api.post("plan/preview?limit=500", json={"rules": [{"name": "All", "kind": "everything"}]})).json()
    assert more["comes"]["videos"] > 6
    assert more["goes"] == {"videos": 0, "bytes": 0}
    assert (more["pace"], more["rate"]) == ("limit", 1_000_000)
    assert more["seconds"] == round(more["comes"]["bytes"] / 1_000_000)
    assert more["disk_after"]["used"] - more["disk_before"]["used"] == more["comes"]["bytes"]
    assert more["disk_before"]["free"] - more["disk_after"]["free"] == more["comes"]["bytes"]
    none = (await api.post("plan/preview?state=going", json={"rules": []})).json()
    assert (none["comes"]["videos"], none["seconds"]) == (0, 0)
    assert none["goes"]["videos"] == none["total"] == 6
    assert none["disk_after"]["used"] < none["disk_before"]["used"]
    assert await house.store.read(rules.every) == before
    for budget, pace in ((Budget(download=BytesPerSecond(0)), "stopped"), (Budget(), "measured")):
        monkeypatch.setattr(kind, "budget", budget)
        assert (await api.post("plan/preview", json={"rules": []})).json()["pace"] == pace


@pytest.mark.usefixtures("really")
async def test_the_plan_says_by_which_rule_its_rank_the_copies_and_what_would_change_it(
    house: House, api: httpx.AsyncClient
) -> None:
    await fill(house, 12)
    now = house.clock.now()
    lifetimes = {"name": "Few", "kind": "recent", "most": 10, "min_lifetime": 864_000, "id": "few"}
    await api.put("rules", json={"rules": [lifetimes]})
    await house.store.write(copies.note_counted, {summary(0).id: copies.Counted(5, 2)}, now)
    plan = (await api.post("plan/run?limit=500")).json()
    lines = {line["title"]: line for line in plan["items"]}
    first = lines["Film 0"]
    assert (first["rule"], first["rule_name"], first["rank"], first["word"]) == ("few", "Few", 1, "wanted")
    assert first["ranked_by"].endswith(" old")
    assert first["earliest_release"] > now.isoformat()
    by = {one["source"]: one["count"] for one in first["copies"]["by"]}
    assert (by["tracker"], by["peers"]) == (5, 2)
    assert first["copies"]["by"][0]["age"] < 60
    left = lines["Film 11"]
    assert (left["word"], left["rule"]) == ("skipped", None)
    assert left["change"]["text"].startswith("It could be kept if")
    assert {line["rule"] for line in await items(api, "plan?rule=few&limit=500")} == {"few"}
    page = (await api.get(f"videos/{summary(0).id}")).json()["decision"]
    assert {key: first[key] for key in page} == page
    assert CopySource.TRACKER in {
        one["source"] for one in (await api.get(f"videos/{summary(0).id}")).json()["copies_by"]
    }


@pytest.mark.usefixtures("really")
async def test_history_tells_each_plan_by_what_it_changed(house: House, api: httpx.AsyncClient) -> None:
    await fill(house, 12)
    await api.put("rules", json={"rules": [{"name": "All", "kind": "everything"}]})
    await api.post("plan/run")
    await api.put("rules", json={"rules": []})
    await api.post("plan/run")
    plans = await items(api, "plan/history")
    assert [one["at"] for one in plans] == sorted((one["at"] for one in plans), reverse=True)
    assert len({one["at"] for one in plans}) == len(plans) >= 3
    latest = plans[0]
    assert latest["count"] == len(latest["changes"])
    gone = {change["after"] for change in latest["changes"]}
    assert gone == {"release", "leave"}
    assert all(change["decision"]["reasons"][0]["text"] for change in latest["changes"])
    assert (await items(api, "plan/history?limit=1&offset=1"))[0] == plans[1]


# questions


async def _asking(house: House) -> str:
    """Store a plan in which the second film is a last copy over its rule's budget."""
    await fill(house, 6)
    found = await house.store.read(decisions.every)
    reasons = (Reason(ReasonCode.LAST_COPY), Reason(ReasonCode.LAST_COPY_OVER, {"rule": "Recent"}))
    ident = summary(1).id
    asks = [_asked(one, reasons) if one.video == ident else one for one in found]
    plan = Plan(tuple(asks), (), ByteCount(0), ByteCount(0), ByteCount(0))
    await house.store.promise(decisions.put_plan, plan, house.clock.now())
    return ident


def _asked(one: Decision, reasons: tuple[Reason, ...]) -> Decision:
    return replace(one, verdict=Verdict.KEEP, reasons=reasons, rule=RuleId("recent"), asks=True)


@pytest.mark.parametrize("answer", ["keep", "let go"])
async def test_a_last_copy_over_its_budget_is_a_question_until_it_is_answered(
    house: House, api: httpx.AsyncClient, answer: str
) -> None:
    ident = await _asking(house)
    (asked,) = await items(api, "questions")
    assert (asked["video_id"], asked["asks"], asked["rule_name"]) == (ident, True, "Recent")
    woken = house.planning.woken
    if answer == "keep":
        await api.post("pins", json={"video_id": ident})
    else:
        assert (await api.post(f"videos/{ident}/let-go")).json()["wish"] == "let_go"
    assert await items(api, "questions") == []
    record = await house.store.read(videos.one, summary(1).id)
    assert record is not None
    assert record.wish is (Wish.PIN if answer == "keep" else Wish.LET_GO)
    assert house.planning.woken > woken
    is_problem(await api.post("videos/nothing/let-go"), 404, "not_found")


# exports and silent origins


async def test_exports_are_queued_and_listed(house: House, api: httpx.AsyncClient) -> None:
    made = await api.post("exports", json={"channel": "films", "folder": "For mum"})
    assert (made.status_code, made.json()["folder"], made.json()["state"]) == (202, "For mum", "done")
    assert [one["folder"] for one in await items(api, "exports")] == ["For mum"]
    is_problem(await api.post("exports", json={"channel": "nothing"}), 400, "bad_input", "channel")
    is_problem(await api.post("exports", json={"channel": "x", "where": "/etc"}), 400, "bad_input", "where")
    reader = await a_token(house, "read")
    refused = await api.post("exports", json={"channel": "films"}, headers={"authorization": f"Bearer {reader}"})
    assert refused.status_code == 403


async def test_an_origin_that_fails_for_long_is_told_with_what_is_held_of_it(house: House) -> None:
    channel = await fill(house, 12)
    now = house.clock.now()
    failing = (OriginToday(HOST, 3, ByteCount(0), 3, None, None),)
    await house.store.write(origins.put, now - timedelta(days=8), failing)
    assert await house.store.read(origins.silent, now - timedelta(days=9)) == ()
    (found,) = await house.store.read(origins.silent, now - timedelta(days=7))
    assert (found.origin, found.videos, found.size) == (HOST, 4, 4 * 72_000_000)
    assert [(c.id, c.title, c.videos) for c in found.channels] == [(channel, "Films", 4)]
    await house.store.write(origins.put, now, (OriginToday(HOST, 3, ByteCount(0), 0, None, now),))
    assert await house.store.read(origins.silent, now) == ()


async def test_a_kind_of_another_package_is_taken_by_the_api_and_by_a_file_of_rules(
    house: House, api: httpx.AsyncClient
) -> None:
    made = await api.post("rules", json={"name": "Long ones", "kind": "longest"})
    assert made.status_code == 201, made.text
    ident = made.json()["id"]
    text = (await api.get("rules/file")).text
    assert (await api.put("rules", json={"file": text})).status_code == 200
    assert (await api.patch(f"rules/{ident}", json={"weight": 2.0})).json()["kind"] == "longest"
    refused = await api.post("rules", json={"name": "Odd ones", "kind": "oddest"})
    assert (refused.status_code, refused.json()["field"]) == (400, "kind")
    await house.store.promise(rules.put, Rule(RuleId("lost"), "Lost", "of_a_package_gone"))
    assert (await api.patch("rules/lost", json={"paused": True})).status_code == 200
