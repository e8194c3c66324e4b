"""What a handler knows of the request it answers besides the request itself: this module holds it and finds it.

The access room makes a ``Visit`` of every request that it lets through; ``create_app`` puts the house beside it.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from litestar import Request

from appliance.domain.viewer import Viewer
from appliance.store.logins import Login
from web.access.areas import base_of
from web.access.gate import Gate
from web.access.origin import public_host
from web.services import Services

AnyRequest = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Visit:
    """One request as a page needs it.

    ``root`` is the mount, without a slash at its end (empty, or the base path, or ``/t/…``), ``path`` what follows it,
    as routed. ``csrf`` goes into every form as the field ``csrf``, or into the header ``X-CSRF-Token``; it is empty
    before a login, where none is needed. ``scope`` is the scope of the token used, if any. ``source`` is the address
    that asks, ``host`` the name it asks for, ``secure`` whether its browser speaks https.
    """

    root: str
    path: str
    viewer: Viewer
    set_up: bool
    source: str = ""
    host: str = ""
    secure: bool = False
    login: Login | None = None
    scope: str | None = None

    @property
    def csrf(self) -> str:
        return "" if self.login is None else self.login.csrf

    @property
    def logged_in(self) -> bool:
        return self.login is not None

    def location(self, path: str) -> str:
        """Return ``path`` (from the mount, with its leading slash) as a Location header's value."""
        return self.root + quote(path, safe="/?&=%:@-._~!$'()*+,;#")


def remember(scope: MutableMapping[str, Any], visit: Visit) -> None:
    """Put the visit, for ``serve`` its viewer, and for pages the form token into the ASGI scope."""
    state = scope.setdefault("state", {})
    state["visit"], state["viewer"], state["csrf"] = visit, visit.viewer, visit.csrf


def visit(request: AnyRequest) -> Visit:
    """Return the visit of a request that came through the access room."""
    found: Visit = request.scope["state"]["visit"]
    return found


def house(request: AnyRequest) -> Services:
    """Return the services that ``create_app`` was given."""
    found: Services = request.app.state["services"]
    return found


def gate(request: AnyRequest) -> Gate:
    """Return the gate: log in, log out, set up, change the password, make tokens."""
    found: Gate = request.app.state["gate"]
    return found


def base_address(services: Services, asker: Visit) -> str:
    """Return the absolute address of the mount for whoever asks, without a slash at its end.

    The one function that makes absolute addresses: ``web.public_url`` for those who came by it, else the address of
    this machine on the LAN, in the form the asker reached it by where that is one of ours.
    """
    web = services.settings.current.web
    if asker.host and asker.host == public_host(web.public_url):
        public = web.public_url.rstrip("/")
        inner = asker.root.removeprefix(base_of(web.base_path)) if public.endswith(base_of(web.base_path)) else None
        return public + (asker.root if inner is None else inner)
    return services.lan_address().rstrip("/") + asker.root


def local(target: str) -> str:
    """Return ``target`` where it is a path below the mount, else ``/``: a form's ``next`` must not lead elsewhere."""
    inside = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if inside and len(target) <= 2000 else "/"
