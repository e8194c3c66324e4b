"""The ASGI wrapper around the whole web: every request is judged here first. This module asks the gate and answers.

It finds the mount (the root, the base path, or ``/t/{token}``), gathers the facts, and either refuses or passes the
request on with its path below the mount and its ``Visit`` in the scope.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import quote

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from appliance.domain.viewer import Viewer
from appliance.store.logins import Login
from web import context, problems
from web.access import headers as policy
from web.access import keys, origin
from web.access.areas import base_of, below, is_unsafe, place, token_path
from web.access.attempts import Tap
from web.access.decide import Area, Denial, Facts, decide
from web.access.decide import Scope as TokenScope
from web.access.forms import form_token
from web.access.gate import COOKIE, Gate, Key
from web.access.refusals import DENIALS, instead
from web.problems import Problem
from web.services import Services

_RATE, _BURST = 200.0, 600.0

ErrorPage = Callable[[str, Problem], str]
"""(path below the mount, problem) → HTML."""

_PAGES = (Area.PAGE, Area.SETUP, Area.LOGIN)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request, read: ``root`` is the mount, ``path`` what follows; ``shown`` a token, in the path or the header."""

    method: str
    root: str
    path: str
    headers: dict[bytes, bytes]
    host: str
    source: str
    area: Area
    needs: TokenScope
    shown: str | None
    misplaced: bool


class Door:
    """The outermost ASGI application."""

    def __init__(self, services: Services, gate: Gate, inside: ASGIApp, error_page: ErrorPage) -> None:
        self._services, self._gate, self._inside, self._error_page = services, gate, inside, error_page
        self._tap = Tap(_RATE, _BURST)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = str(scope["type"])
        if kind == "lifespan":
            await self._inside(scope, receive, send)
        elif kind == "http":
            asked = self._read(scope)
            await self._judge(asked, scope, receive, _dressing(asked, send))
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": ""})

    async def _judge(self, asked: _Asked, scope: Any, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on."""
        if asked.misplaced or (asked.area is Area.DLNA and not self._services.settings.current.lan.dlna):
            return await self._tell(asked, problems.of_status(404), send)
        if asked.area is Area.PLAY and asked.method == "OPTIONS":
            return await _empty(send, 204, list(policy.PREFLIGHT))
        wait = self._tap.wait(asked.source, self._now()) if asked.area in (Area.API, *_PAGES) else 0.0
        if wait > 0:
            many = Problem(429, "too_many_requests", "There were too many requests.", "Ask less often.", after=wait)
            return await self._tell(asked, many, send)
        await self._gate.open()
        key = await self._gate.key_of(asked.shown) if asked.shown is not None else None
        login = await self._login(asked)
        facts = self._facts(asked, key, login)
        if facts.unsafe and login is not None and not facts.csrf and key is None and asked.area is not Area.PLAY:
            token, receive = await form_token(asked.headers, receive)
            facts = dataclasses.replace(facts, csrf=keys.same(token, login.csrf))
        verdict = decide(facts)
        if isinstance(verdict, Denial):
            return await self._refuse(asked, scope, verdict, send)
        return await self._admit(asked, scope, receive, send, facts, key, login)

    async def _admit(
        self,
        asked: _Asked,
        scope: Any,
        receive: Receive,
        send: Send,
        facts: Facts,
        key: Key | None,
        login: Login | None,
    ) -> None:
        near = facts.near and not facts.forwarded
        viewer = Viewer(is_lan=near, name=key.name if key is not None else asked.source)
        token_scope = key.scope.value if key is not None else None
        visit = context.Visit(
            root=asked.root,
            path=asked.path,
            viewer=viewer,
            set_up=self._gate.set_up,
            source=asked.source,
            host=asked.host,
            authority=asked.headers.get(b"host", b"").decode("ascii", "replace").strip(),
            port=(scope.get("server") or ("", 0))[1] or 0,
            secure=origin.is_secure(asked.headers, scope["scheme"], asked.host, self._public_url()),
            login=login,
            scope=token_scope,
        )
        context.remember(scope, visit)
        scope["path"], scope["root_path"] = asked.path, ""
        scope["raw_path"] = quote(asked.path).encode("ascii")
        if asked.method == "HEAD" and asked.area is not Area.PLAY:
            # In a copy: the server's own scope is how it knows that a length without a body is right.
            scope, send = {**scope, "method": "GET"}, _bodiless(send)
        await self._inside(scope, receive, send)

    def _now(self) -> float:
        return self._services.clock.monotonic()

    def _public_url(self) -> str:
        return self._services.settings.current.web.public_url

    def _read(self, scope: Any) -> _Asked:
        headers = dict(scope["headers"])
        path, root = scope["path"] or "/", ""
        inner = below(path, base_of(self._services.settings.current.web.base_path))
        if inner is not None:
            root, path = path[: len(path) - len(inner)] if inner != "/" else path.rstrip("/"), inner
        shown, misplaced = _bearer(headers), False
        found = token_path(path)
        if found is not None:
            shown, path = found
            root += f"/t/{shown}"
        area, needs = place(scope["method"], path)
        if found is not None:
            misplaced = area is not Area.PLAY
        client = scope.get("client")
        return _Asked(
            scope["method"],
            root,
            path,
            headers,
            origin.host_of(headers.get(b"host")),
            _plain_source(client[0] if client else ""),
            area,
            needs,
            shown,
            misplaced,
        )

    async def _login(self, asked: _Asked) -> Login | None:
        if asked.shown is not None or asked.area in (Area.OPEN, Area.DLNA):
            return None
        cookie = _cookie(asked.headers)
        return await self._gate.login_of(cookie) if cookie else None

    def _facts(self, asked: _Asked, key: Key | None, login: Login | None) -> Facts:
        services, web = self._services, self._services.settings.current.web
        ours = services.lan_hosts()
        sent = asked.headers.get(b"x-csrf-token", b"").decode("latin-1")
        return Facts(
            area=asked.area,
            needs=asked.needs,
            unsafe=is_unsafe(asked.method),
            host_ours=origin.is_ours(asked.host, ours, web.public_url),
            host_home=origin.is_home(asked.host, ours),
            near=origin.is_loopback(asked.source) or services.is_lan(asked.source),
            forwarded=origin.is_forwarded(asked.headers),
            cross_site=origin.is_cross_site(asked.headers, asked.host, web.public_url),
            set_up=self._gate.set_up,
            play_without_login=web.play_without_login,
            login=login is not None,
            csrf=login is not None and sent != "" and keys.same(sent, login.csrf),
            token=None if key is None else key.scope,
            bad_token=asked.shown is not None and key is None,
        )

    async def _refuse(self, asked: _Asked, scope: Any, denial: Denial, send: Send) -> None:
        target = instead(denial, asked.method, asked.path, scope.get("query_string", b""))
        if target is None or not _wants_page(asked):
            return await self._tell(asked, DENIALS[denial], send)
        location = (asked.root + target).encode("ascii", "replace")
        if b"hx-request" in asked.headers:
            return await _empty(send, 204, [(b"hx-redirect", location)])
        return await _empty(send, 303, [(b"location", location), (b"content-length", b"0")])

    async def _tell(self, asked: _Asked, problem: Problem, send: Send) -> None:
        as_page = _wants_page(asked)
        body = self._error_page(asked.path, problem).encode() if as_page else problem.body()
        kind = "text/html; charset=utf-8" if as_page else problems.PROBLEM_TYPE
        headers = {"content-type": kind, "content-length": str(len(body)), **problem.headers()}
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": problem.status, "headers": pairs})
        body = b"" if asked.method == "HEAD" else body
        await send({"type": "http.response.body", "body": body, "more_body": False})


def _plain_source(source: str) -> str:
    found = origin.address(source)
    return source if found is None else str(found)


def _bearer(headers: dict[bytes, bytes]) -> str | None:
    kind, _, rest = headers.get(b"authorization", b"").partition(b" ")
    return rest.strip().decode("latin-1") if kind.lower() == b"bearer" else None


def _cookie(headers: dict[bytes, bytes]) -> str:
    try:
        found = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None and len(found.value) < 200 else ""


def _wants_page(asked: _Asked) -> bool:
    if asked.area not in _PAGES:
        return False
    accepts = asked.headers.get(b"accept", b"")
    return b"text/html" in accepts or b"application/json" not in accepts


def _dressing(asked: _Asked, send: Send) -> Send:
    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = policy.dressed(asked.area, asked.path, message.get("headers", []))
        await send(message)

    return dressed


def _bodiless(send: Send) -> Send:
    """Answer HEAD with what GET would say, less the body (RFC 9110, 9.3.2)."""

    async def bodiless(message: Message) -> None:
        if message["type"] == "http.response.body":
            message["body"] = b""
        await send(message)

    return bodiless


async def _empty(send: Send, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
