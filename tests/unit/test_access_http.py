"""Access over real HTTP: the whole web on loopback."""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from appliance.clock import ManualClock
from appliance.domain.channel import Portrait
from appliance.domain.units import ChannelId
from appliance.settings import Settings, Setup, Web
from appliance.store import logins, saved
from tests.unit.house import CODE, PASSWORD, House, a_house, a_token, set_up
from web.access import keys
from web.access.gate import COOKIE, LASTS

PROBLEM = "application/problem+json"
MEDIA = "/media/aaaaaaaaaaaaaaaa/master.m3u8"
VIEW = {"accept": "text/html"}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with a_house(tmp_path) as opened:
        yield opened


@pytest.fixture
async def base(house: House) -> AsyncIterator[str]:
    async with house.served() as address:
        yield address


@pytest.fixture
async def stranger(base: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=base) as client:
        yield client


@pytest.fixture
async def owner(base: str) -> AsyncIterator[httpx.AsyncClient]:
    async with set_up(base) as client:
        yield client


async def csrf_of(browser: httpx.AsyncClient) -> str:
    page = (await browser.get("/settings")).text
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found.group(1)


def code_of(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == PROBLEM, answer.text
    return str(answer.json()["code"])


# the first run


async def test_before_set_up_every_page_leads_to_it_and_nothing_else_answers(stranger: httpx.AsyncClient) -> None:
    for path in ("/", "/videos", "/login"):
        answer = await stranger.get(path, headers=VIEW)
        assert (answer.status_code, answer.headers["location"]) == (303, "/setup")
    assert code_of(await stranger.get("/api/v1/videos")) == "not_set_up"
    assert code_of(await stranger.get(MEDIA)) == "not_set_up"
    assert (await stranger.get("/health")).json()["status"] == "ok"
    assert (await stranger.get("/setup", headers=VIEW)).status_code == 200


async def test_set_up_takes_the_code_once_and_logs_in(house: House, base: str, stranger: httpx.AsyncClient) -> None:
    form = {"code": "wrong", "password": PASSWORD, "again": PASSWORD}
    assert (await stranger.post("/setup", data=form)).status_code == 422
    short = {"code": CODE, "password": "short", "again": "short"}
    assert (await stranger.post("/setup", data=short)).status_code == 422
    answer = await stranger.post("/setup", data={**form, "code": f" {CODE.upper().replace('-', ' ')} "})
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    assert house.settings.current.web.play_without_login is False
    assert (await stranger.get("/api/v1/status")).status_code == 200
    again = await stranger.post("/setup", data={**form, "code": CODE}, headers=VIEW)
    assert again.status_code == 303
    assert "set-cookie" not in again.headers


async def test_only_digests_are_kept(house: House, owner: httpx.AsyncClient) -> None:
    secret = owner.cookies[COOKIE]
    token = (await owner.post("/api/v1/tokens", json={"name": "a", "scope": "read"}, headers={"x": "y"})).json()
    assert token["code"] == "csrf"
    made = await owner.post(
        "/api/v1/tokens", json={"name": "a", "scope": "read"}, headers={"x-csrf-token": await csrf_of(owner)}
    )
    stored = house.store.path.read_bytes() + house.store.path.with_suffix(".db-wal").read_bytes()
    assert secret.encode() not in stored
    assert made.json()["token"].encode() not in stored
    assert PASSWORD.encode() not in stored
    kept = await house.store.read(saved.get, "admin_password")
    assert kept is not None
    assert kept.startswith('"$argon2id$')


async def test_the_password_of_the_settings_is_set_at_first_start_and_then_left(tmp_path: Path) -> None:
    settings = Settings(setup=Setup(admin_password="set by a file"))
    async with (
        a_house(tmp_path, settings=settings) as house,
        house.served() as base,
        httpx.AsyncClient(base_url=base) as browser,
    ):
        answer = await browser.post("/login", data={"password": "set by a file"})
        assert (answer.status_code, COOKIE in answer.cookies) == (303, True)
    other = Settings(setup=Setup(admin_password="another by a file"))
    async with (
        a_house(tmp_path, settings=other) as house,
        house.served() as base,
        httpx.AsyncClient(base_url=base) as browser,
    ):
        assert (await browser.post("/login", data={"password": "another by a file"})).status_code == 422
        assert (await browser.post("/login", data={"password": "set by a file"})).status_code == 303


# the login


async def test_a_page_asks_for_the_login_and_comes_back_after_it(base: str, owner: httpx.AsyncClient) -> None:
    async with httpx.AsyncClient(base_url=base, headers=VIEW) as browser:
        asked = await browser.get("/videos?q=a%26b")
        assert asked.status_code == 303
        login = await browser.get(asked.headers["location"])
        assert login.status_code == 200
        onward = asked.headers["location"].partition("next=")[2]
        answer = await browser.post(
            "/login", data={"password": PASSWORD, "next": httpx.QueryParams(f"n={onward}")["n"]}
        )
        assert answer.status_code == 303
        assert (await browser.get(str(answer.url.join(answer.headers["location"])))).status_code == 200


async def test_htmx_is_led_to_the_login_as_a_whole_page(base: str, owner: httpx.AsyncClient) -> None:
    async with httpx.AsyncClient(base_url=base, headers={**VIEW, "hx-request": "true"}) as browser:
        answer = await browser.get("/videos")
        assert answer.status_code == 204
        assert answer.headers["hx-redirect"].startswith("/login")


async def test_wrong_passwords_cost_time_and_the_answer_says_how_much(base: str, owner: httpx.AsyncClient) -> None:
    async with httpx.AsyncClient(base_url=base) as browser:
        answers = [await browser.post("/login", data={"password": f"wrong {n}"}) for n in range(6)]
    assert [a.status_code for a in answers] == [422] * 5 + [429]
    assert (await owner.get("/api/v1/status")).status_code == 200


async def test_a_logout_ends_the_session_at_once(owner: httpx.AsyncClient) -> None:
    secret = owner.cookies[COOKIE]
    assert (await owner.get("/api/v1/status")).status_code == 200
    answer = await owner.post("/logout", data={"csrf": await csrf_of(owner)})
    assert answer.status_code == 303
    owner.cookies.clear()
    owner.cookies.set(COOKIE, secret)
    assert code_of(await owner.get("/api/v1/status")) == "login_needed"


async def test_a_session_slides_for_thirty_days_and_then_ends(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 11, 21, tzinfo=UTC))
    async with a_house(tmp_path, clock=clock) as house, house.served() as base, set_up(base) as browser:
        for _ in range(3):
            clock.advance(LASTS.total_seconds() * 0.9)
            assert (await browser.get("/api/v1/status")).status_code == 200
        clock.advance(LASTS.total_seconds() * 1.1)
        assert (await browser.get("/api/v1/status")).status_code == 401


async def test_a_new_password_logs_everyone_else_out(base: str, owner: httpx.AsyncClient) -> None:
    async with httpx.AsyncClient(base_url=base) as other:
        await other.post("/login", data={"password": PASSWORD})
        assert (await other.get("/api/v1/status")).status_code == 200
        token = {"x-csrf-token": await csrf_of(owner)}
        wrong = await owner.put("/api/v1/password", json={"present": "no", "new": "a new password"}, headers=token)
        assert (wrong.status_code, wrong.json()["field"]) == (400, "present")
        right = {"present": PASSWORD, "new": "a new password"}
        assert (await owner.put("/api/v1/password", json=right, headers=token)).status_code == 204
        assert (await other.get("/api/v1/status")).status_code == 401
        assert (await owner.get("/api/v1/status")).status_code == 200


# other sites, other hosts


@pytest.mark.parametrize("path", ["/", "/api/v1/status", MEDIA, "/health", "/setup", "/static/favicon.svg"])
async def test_under_a_strangers_name_nothing_answers(path: str, owner: httpx.AsyncClient) -> None:
    answer = await owner.get(path, headers={"host": "evil.example"})
    assert answer.status_code == 403
    assert "not ours" in answer.text


async def test_our_names_answer(base: str, owner: httpx.AsyncClient) -> None:
    for host in ("seedkeep.local:7333", "192.168.7.7", "LOCALHOST:1", "box."):
        assert (await owner.get(base + "/health", headers={"host": host})).status_code == 200


async def test_a_cookie_changes_nothing_without_its_token(house: House, owner: httpx.AsyncClient) -> None:
    assert code_of(await owner.post("/api/v1/plan/run")) == "csrf"
    assert code_of(await owner.post("/api/v1/plan/run", headers={"x-csrf-token": "no"})) == "csrf"
    form = await owner.post("/channels", data={"url": "https://tube.example.org/c/films", "csrf": "no"})
    assert form.status_code == 403
    token = await csrf_of(owner)
    foreign = {"x-csrf-token": token, "origin": "http://evil.example"}
    assert code_of(await owner.post("/api/v1/plan/run", headers=foreign)) == "cross_site"
    assert (await owner.post("/api/v1/plan/run", headers={"x-csrf-token": token})).status_code == 200
    form = await owner.post("/channels", data={"url": "https://tube.example.org/c/films", "csrf": token})
    assert form.status_code == 303


async def test_another_sites_page_cannot_log_in_for_us(base: str, owner: httpx.AsyncClient) -> None:
    async with httpx.AsyncClient(base_url=base) as browser:
        answer = await browser.post("/login", data={"password": PASSWORD}, headers={"origin": "http://evil.example"})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


async def test_a_form_that_never_ends_is_refused(owner: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"a=" + b"b" * 20_000 + b"&"

    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert (await owner.post("/channels", content=endless(), headers=kind)).status_code == 403


# tokens


async def test_a_token_does_what_its_scope_says_and_no_more(house: House, base: str, owner: httpx.AsyncClient) -> None:
    asks = [
        ("play", "GET", MEDIA),
        ("read", "GET", "/api/v1/videos"),
        ("pin", "DELETE", "/api/v1/pins/aaaa"),
        ("admin", "GET", "/api/v1/settings"),
    ]
    order = ["play", "read", "pin", "admin"]
    for scope in order:
        secret = await a_token(house, scope)
        headers = {"authorization": f"Bearer {secret}"}
        async with httpx.AsyncClient(base_url=base, headers=headers) as program:
            for needed, method, path in asks:
                answer = await program.request(method, path)
                assert (answer.status_code == 403) == (order.index(scope) < order.index(needed)), (scope, path)


async def test_a_wrong_token_is_told_so_even_beside_a_cookie(owner: httpx.AsyncClient) -> None:
    answer = await owner.get("/api/v1/videos", headers={"authorization": "Bearer sk_wrong"})
    assert (answer.status_code, code_of(answer)) == (401, "bad_token")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_removed_token_works_no_longer(house: House, base: str, owner: httpx.AsyncClient) -> None:
    secret = await a_token(house, "read")
    headers = {"authorization": f"Bearer {secret}"}
    async with httpx.AsyncClient(base_url=base, headers=headers) as program:
        assert (await program.get("/api/v1/videos")).status_code == 200
        csrf = {"x-csrf-token": await csrf_of(owner)}
        listed = (await owner.get("/api/v1/tokens")).json()["items"]
        assert (await owner.delete(f"/api/v1/tokens/{listed[0]['id']}", headers=csrf)).status_code == 204
        assert (await program.get("/api/v1/videos")).status_code == 401


async def test_the_command_line_is_let_in_before_set_up(house: House, stranger: httpx.AsyncClient) -> None:
    secret = "made by the daemon"
    await house.store.promise(saved.put, "cli_token_digest", f'"{keys.digest(secret)}"')
    headers = {"authorization": f"Bearer {secret}"}
    assert (await stranger.get("/api/v1/settings", headers=headers)).status_code == 200


# playing


async def test_the_household_plays_without_a_login_and_says_who_it_is(
    base: str, owner: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    told = (await stranger.get(MEDIA)).json()
    assert told == {"path": MEDIA, "is_lan": True, "name": "127.0.0.1"}


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "192.168.7.9"},
        {"via": "1.1 proxy"},
        {"forwarded": "for=192.168.7.9"},
        {"host": "203.0.113.9"},
    ],
)
async def test_what_may_come_from_elsewhere_does_not_play(
    headers: dict[str, str], owner: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    assert code_of(await stranger.get(MEDIA, headers=headers)) == "login_needed"


async def test_the_owner_may_want_a_login_for_playing(
    house: House, owner: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    await house.settings.save({"web.play_without_login": False})
    assert (await stranger.get(MEDIA)).status_code == 401
    assert (await owner.get(MEDIA)).status_code == 200


async def test_a_token_in_the_path_plays_from_anywhere_and_does_nothing_else(
    house: House, owner: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    secret = await a_token(house, "play", "the cabin")
    away = {"host": "whatever.example", "x-forwarded-for": "203.0.113.9"}
    told = (await stranger.get(f"/t/{secret}{MEDIA}", headers=away)).json()
    assert told == {"path": MEDIA, "is_lan": False, "name": "the cabin"}
    assert (await stranger.get(f"/t/{secret}x{MEDIA}", headers=away)).status_code == 401
    admin = await a_token(house, "admin")
    for path in ("/api/v1/videos", "/", "/settings", "/health"):
        assert (await stranger.get(f"/t/{admin}{path}")).status_code == 404


async def test_players_of_any_site_may_read_media_and_nothing_else(
    owner: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    played = await stranger.get(MEDIA, headers={"origin": "https://player.example"})
    assert played.headers.get_list("access-control-allow-origin") == ["*"]
    assert "Content-Range" in played.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in played.headers
    before = await stranger.options(MEDIA, headers={"access-control-request-headers": "range"})
    assert (before.status_code, "Range" in before.headers["access-control-allow-headers"]) == (204, True)
    for path in ("/api/v1/videos", "/health", "/"):
        assert "access-control-allow-origin" not in (await owner.get(path)).headers


# the rest


async def test_the_base_path_is_served_beside_the_root(tmp_path: Path) -> None:
    settings = Settings(web=Web(base_path="/seedkeep/", public_url="https://videos.example.org/seedkeep"))
    async with (
        a_house(tmp_path, settings=settings) as house,
        house.served() as base,
        httpx.AsyncClient(base_url=base, headers=VIEW) as browser,
    ):
        assert (await browser.get("/seedkeep/videos")).headers["location"] == "/seedkeep/setup"
        assert (await browser.get("/videos")).headers["location"] == "/setup"
        assert (await browser.get("/seedkeep/health")).status_code == 200
        proxied = {"host": "videos.example.org", "x-forwarded-proto": "https"}
        form = {"code": CODE, "password": PASSWORD, "again": PASSWORD}
        answer = await browser.post("/seedkeep/setup", data=form, headers=proxied)
        assert "Secure" in answer.headers["set-cookie"]
        cookie = {"cookie": f"{COOKIE}={answer.cookies[COOKIE]}"}
        assert (await browser.get("/seedkeep/api/v1/status", headers={**proxied, **cookie})).status_code == 200
        text = (await browser.get("/seedkeep/library.m3u", headers={**proxied, **cookie})).text
        assert text.startswith("#EXTM3U")


async def test_every_answer_carries_its_policy(owner: httpx.AsyncClient) -> None:
    page = await owner.get("/")
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    for path in ("/", "/api/v1/status", "/static/favicon.svg", MEDIA, "/nothing"):
        headers = (await owner.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == ("cross-origin" if path == MEDIA else "same-origin"), path


async def test_head_says_what_get_would(owner: httpx.AsyncClient) -> None:
    for path in ("/health", "/api/v1/status", "/videos"):
        head, get = await owner.head(path), await owner.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == get.headers["content-type"]


async def test_a_connection_lives_on_after_a_head(base: str) -> None:
    """A screen asks so for what goes with a film, and asks on."""
    host, port = base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for method, has_body in (("HEAD", False), ("HEAD", False), ("GET", True)):
            writer.write(f"{method} /health HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            async with asyncio.timeout(10):
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
                body = await reader.readexactly(length) if has_body else b""
            assert head.startswith("http/1.1 200")
            assert length > 0
            assert bool(body) is has_body
    finally:
        writer.close()
        await writer.wait_closed()


async def test_static_files_come_from_their_table_only(owner: httpx.AsyncClient) -> None:
    found = await owner.get("/static/favicon.svg")
    assert (found.status_code, found.headers["content-type"]) == (200, "image/svg+xml")
    again = await owner.get("/static/favicon.svg", headers={"if-none-match": found.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/", "/static//etc/passwd", "/static/x%00"):
        assert (await owner.get(path)).status_code == 404


async def test_too_many_requests_are_told_when_to_come_again(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 11, 21, tzinfo=UTC))
    async with (
        a_house(tmp_path, clock=clock) as house,
        house.served() as base,
        httpx.AsyncClient(base_url=base) as program,
    ):
        seen = [await program.get("/api/v1/videos") for _ in range(602)]
        assert seen[0].status_code == 403
        assert (seen[-1].status_code, seen[-1].headers["retry-after"]) == (429, "1")
        assert (await program.get("/health")).status_code == 200


async def test_logging_is_left_as_it_is(house: House) -> None:
    assert logging.getLogger().level == logging.WARNING
    assert not any("litestar" in type(handler).__module__ for handler in logging.getLogger().handlers)


async def test_a_login_does_not_stop_the_house(base: str, owner: httpx.AsyncClient) -> None:
    """Argon2 runs in a thread: while it does, others are answered."""
    async with httpx.AsyncClient(base_url=base) as browser:
        trying = asyncio.create_task(browser.post("/login", data={"password": "wrong"}))
        slowest = 0.0
        while not trying.done():
            began = time.perf_counter()
            await owner.get("/health")
            slowest = max(slowest, time.perf_counter() - began)
        assert (await trying).status_code == 422
    assert slowest < 0.5


async def test_a_login_that_ran_out_is_unknown(house: House) -> None:
    assert await house.store.read(logins.login, "0" * 64, house.clock.now()) is None


async def test_a_channels_picture_is_for_who_is_logged_in(
    house: House, owner: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    house.following.portraits[ChannelId("films")] = Portrait("image/png", b"\x89PNG\r\n\x1a\n")
    shown = await owner.get("/channels/films/portrait?v=1")
    assert (shown.status_code, shown.headers["content-type"], shown.content[:4]) == (200, "image/png", b"\x89PNG")
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert "max-age" in shown.headers["cache-control"]
    assert (await owner.get("/channels/talks/portrait")).status_code == 404
    assert (await owner.get("/channels/..%2f..%2fsecret/portrait")).status_code == 404
    assert (await stranger.get("/channels/films/portrait", follow_redirects=False)).status_code == 303
