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
from web.access.origin import address, is_loopback, public_host
from web.services import Services

AnyRequest = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Visit:
    """One request as a page needs it.

    ``root`` is the mount, without a slash at its end (empty, or the base path, or ``/t/…``), ``path`` what follows it,
    as routed. ``csrf`` goes into every form as the field ``csrf``, or into the header ``X-CSRF-Token``; it is empty
    before a login, where none is needed. ``scope`` is the scope of the token used, if any. ``source`` is the address
    that asks, ``host`` the name it asks for (``authority``: with the port, as sent), ``port`` the one we listen on,
    ``secure`` whether its browser speaks https.
    """

    root: str
    path: str
    viewer: Viewer
    set_up: bool
    source: str = ""
    host: str = ""
    authority: str = ""
    port: int = 0
    secure: bool = False
    login: Login | None = None
    scope: str | None = None

    @property
    def csrf(self) -> str:
        return "" if self.login is None else self.login.csrf

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

    The one function that makes absolute addresses: ``web.public_url`` for those who came by it; the address literal
    that the asker reached us by, unless it is loopback; else this machine's address on the LAN.
    """
    web = services.settings.current.web
    if asker.host and asker.host == public_host(web.public_url):
        base, public = base_of(web.base_path), web.public_url.rstrip("/")
        return public + (asker.root.removeprefix(base) if base and public.endswith(base) else asker.root)
    if address(asker.host) is not None and not is_loopback(asker.host):
        return f"http://{asker.authority}{asker.root}"
    host = services.lan_address()
    if "://" in host:
        return host.rstrip("/") + asker.root
    return f"http://{f'[{host}]' if ':' in host else host}:{asker.port}{asker.root}"


def local(target: str) -> str:
    """Return ``target`` where it is a path below the mount, else ``/``: a form's ``next`` must not lead elsewhere."""
    inside = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if inside and len(target) <= 2000 else "/"
