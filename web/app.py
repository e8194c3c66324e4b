"""The whole web as one ASGI application: this module puts its parts together.

``/static/`` and serve's media are plain ASGI beside Litestar, which has the pages and the API; the door stands before
all of them.
"""

import importlib
import logging
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ControllerRouterHandler, Receive, Scope, Send

from appliance.errors import SeedkeepError
from web import pages, problems
from web.access.areas import place
from web.access.decide import Area
from web.access.door import Door
from web.access.gate import Gate
from web.api.routes import resources
from web.context import Visit
from web.events import Events
from web.glance import Glance
from web.pages import show, theatre
from web.problems import Problem, Refusal
from web.services import Services
from web.statics import Statics
from web.witness import deed

log = logging.getLogger(__name__)

MOST_BODY = 512 * 1024
"""Bytes of a request's body: a form, or a list of rules."""

_UNUSED = "/-"
"""Where Litestar puts its own pages about the API, which answer in a way of theirs: nobody gets there."""

AnyRequest = Request[Any, Any, Any]


class Web:
    """The web as an ASGI application. ``stop`` it before its server waits for open connections to end."""

    def __init__(self, services: Services) -> None:
        self._media, self._statics, self._presence = services.media, Statics(), services.presence
        self._dlna = services.dlna
        self._gate, self._events, self._glance = Gate(services), Events(services), Glance(services)
        self._litestar = _litestar(services, self._gate, self._events, self._glance)
        self._door = Door(services, self._gate, self._route, error_page)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._door(scope, receive, send)

    def stop(self) -> None:
        """End every listener's stream, and listen to the store no longer. Idempotent."""
        self._events.stop()
        self._gate.close()
        self._glance.close()

    async def _route(self, scope: Any, receive: Receive, send: Send) -> None:
        path = str(scope.get("path", ""))
        self._witness(scope, path)
        if path.startswith("/static/"):
            await self._statics(scope, receive, send)
        elif path.startswith("/media/"):
            scope["root_path"] = scope["state"]["visit"].root  # what it names by its whole address keeps the way there
            await self._media(scope, receive, send)
        elif path.startswith("/dlna/") and self._dlna is not None:
            await self._dlna(scope, receive, send)
        else:
            if path == _UNUSED or path.startswith(_UNUSED + "/"):
                scope["path"] = "/nothing"
            await self._litestar(scope, receive, send)

    def _witness(self, scope: Any, path: str) -> None:
        """Remember which screen on this network did what. Those elsewhere have a token, and are nobody's screens."""
        seen = deed(str(scope["method"]), path)
        if seen is None:
            return
        asker: Visit = scope["state"]["visit"]
        if asker.viewer.is_lan:
            agent = dict(scope["headers"]).get(b"user-agent", b"")
            self._presence.saw(asker.source, seen, agent.decode("latin-1"))


def create_app(services: Services, compiled: Path | None = None) -> Web:
    """Return the web of a house, everything behind the door: one for each process. Blocks.

    ``compiled``: the file in which compiled templates are kept.
    """
    show.STAGE.open(compiled)
    return Web(services)


def _litestar(services: Services, gate: Gate, events: Events, glance: Glance) -> Litestar:
    async def opened(_: Litestar) -> None:
        await gate.open()

    async def closed(_: Litestar) -> None:
        events.stop()

    return Litestar(
        route_handlers=[*resources(), *page_handlers()],
        state=State({"services": services, "gate": gate, "events": events, "glance": glance}),
        openapi_config=OpenAPIConfig(
            title="Seedkeep",
            version=services.health().version,
            description="Byte counts are integers, rates bytes/s, times RFC 3339 in UTC; errors are RFC 9457 problems.",
            path=_UNUSED,
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],
            components=Components(security_schemes={"token": SecurityScheme(type="http", scheme="bearer")}),
            security=[{"token": []}],
            use_handler_docstrings=True,
        ),
        exception_handlers={
            Refusal: lambda request, error: answer(request, error.problem),
            SeedkeepError: lambda request, error: answer(request, problems.of_error(error)),
            HTTPException: _http,
            RecursionError: _too_deep,
            Exception: _bug,
        },
        request_max_body_size=MOST_BODY,
        logging_config=None,
        on_startup=[opened],
        on_shutdown=[closed],
    )


def page_handlers() -> Iterator[ControllerRouterHandler]:
    """Yield the handlers of every module of the page room: its ``routes``."""
    for module in sorted(pkgutil.iter_modules(pages.__path__), key=lambda found: found.name):
        yield from getattr(importlib.import_module(f"{pages.__name__}.{module.name}"), "routes", ())


def answer(request: AnyRequest, problem: Problem) -> Response[bytes]:
    """Return a problem in the form that fits the address: JSON for programs, a page for people."""
    path = str(request.scope["path"])
    area, _ = place(request.method, path)
    as_page = area in (Area.PAGE, Area.SETUP, Area.LOGIN)
    return Response(
        error_page(path, problem).encode() if as_page else problem.body(),
        status_code=problem.status,
        media_type="text/html; charset=utf-8" if as_page else problems.PROBLEM_TYPE,
        headers=problem.headers(),
    )


def error_page(path: str, problem: Problem) -> str:
    """Return the page that tells a problem, in the house's own look."""
    view = {
        "frame": None,
        "here": "",
        "root": theatre.root_of(path),
        "csrf": "",
        "said": "",
        "status": problem.status,
        "title": problem.title,
        "text": problem.detail,
        "hint": problem.hint,
    }
    try:
        return theatre.render(show.STAGE, "error", view)
    except Exception:
        log.exception("The error page cannot be shown")
        return problems.bare_page(problem)


def _http(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    if error.status_code >= 500:
        return _bug(request, error)
    told = answer(request, problems.of_status(error.status_code, error.detail, getattr(error, "extra", None)))
    for name, value in (error.headers or {}).items():
        if name.lower() == "allow":
            told.headers["allow"] = value
    return told


def _too_deep(request: AnyRequest, error: RecursionError) -> Response[bytes]:
    """The only thing here that goes as deep as its input is reading JSON."""
    log.info("%s %r: %s", request.method, str(request.scope["path"])[:200], error)
    return answer(request, Problem(400, "bad_input", "What was sent is nested too deeply."))


def _bug(request: AnyRequest, error: Exception) -> Response[bytes]:
    log.error("Answering %s %r failed", request.method, str(request.scope["path"])[:200], exc_info=error)
    return answer(request, Problem(500, "bug", "Something went wrong on our side.", "The log says more."))
