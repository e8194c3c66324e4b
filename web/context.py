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
from web.services import Services

AnyRequest = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Visit:
    """One request as a page needs it.

    ``root`` is the mount, without a slash at its end (empty, or the base path, or ``/t/…``), ``path`` what follows it,
    as routed. ``csrf`` goes into every form as the field ``csrf``, or into the header ``X-CSRF-Token``; it is empty
    before a login, where none is needed. ``scope`` is the scope of the token used, if any.
    """

    root: str
    path: str
    viewer: Viewer
    set_up: bool
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
    """Put the visit, and for ``serve`` its viewer, into the ASGI scope."""
    state = scope.setdefault("state", {})
    state["visit"], state["viewer"] = visit, visit.viewer


def visit(request: AnyRequest) -> Visit:
    """Return the visit of a request that came through the access room."""
    found: Visit = request.scope["state"]["visit"]
    return found


def house(request: AnyRequest) -> Services:
    """Return the services that ``create_app`` was given."""
    found: Services = request.app.state["services"]
    return found
