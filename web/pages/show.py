"""What every page does: its frame, its CSRF field, its part for htmx, its way back after a form. This module has it."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from litestar import Response
from litestar.response import Redirect

from appliance.domain.plan import Disk
from appliance.errors import DiskError
from web.access.gate import Gate
from web.context import AnyRequest as Asked
from web.context import house as services
from web.context import visit
from web.pages import theatre
from web.services import Services
from web.views import words
from web.views.home import Frame

__all__ = [
    "Asked",
    "bare",
    "block",
    "disk",
    "fields",
    "frame",
    "gate",
    "go",
    "missing",
    "services",
    "show",
    "source",
    "visit",
]

STAGE = theatre.Stage()

SAID = {
    "welcome": "This box is yours. Follow a channel to begin.",
    "saved": "Saved.",
    "asked": "The origin is being asked now.",
    "paused": "Paused. Nothing new is asked of this channel until you resume it.",
    "resumed": "Resumed.",
    "left": "No longer followed. The next plan releases what nothing else wants.",
    "followed": "Followed. Its listing is being read, newest first.",
    "pinned": "Pinned by hand. It stays whatever the rules say.",
    "unpinned": "The rules decide about this video again.",
    "let-go": "It may go now. The next plan decides whether a rule still wants it.",
    "dropped": "Gone. It can still be watched: it comes as you watch it.",
    "watched": "Somebody is watching it. Try again a minute after they have stopped.",
    "not-dropped": "It could not be deleted. Health says what is in the way.",
    "exporting": "The channel is being exported. Below is how far it is.",
    "barred": "Never kept again. What was here of it goes.",
    "rule": "The rule is in force. The plan follows in a moment.",
    "rule-paused": "The rule rests. The plan follows in a moment.",
    "rule-gone": "The rule is deleted. The plan follows in a moment.",
    "planned": "Planned anew.",
    "limits": "The limits are in force.",
    "revoked": "The token works no longer.",
    "ended": "Logged out there.",
    "password": "The password is changed. Everyone else is logged out.",
}
"""What a page says after a form, by the word in its address (so that nobody can put words into our mouth)."""


def gate(request: Asked) -> Gate:
    found: Gate = request.app.state["gate"]
    return found


async def disk(house: Services) -> Disk | None:
    """Return the library's disk, or None where it is not mounted."""
    try:
        return await house.keeping.disk()
    except DiskError:
        return None


async def frame(house: Services) -> Frame:
    rates = house.spending.rates()
    space = await disk(house)
    return Frame(
        up=words.rate(rates.up),
        down=words.rate(rates.down),
        held=words.size(space.used) if space else "nothing",
        held_share=words.share(space.total - space.free, space.total) if space else 0.0,
        disk=f"disk {words.share(space.total - space.free, space.total):.0f} % full" if space else "disk not there",
    )


def root(request: Asked) -> str:
    """Return the relative way from this page to the mount, whatever base path it is served below."""
    return theatre.root_of(visit(request).path)


def block(request: Asked) -> str:
    """Return the part of the page that htmx asks for, by the id of the element it will replace; empty: all of it."""
    return request.headers.get("HX-Target", "") if request.headers.get("HX-Request") == "true" else ""


async def show(
    request: Asked, name: str, view: Mapping[str, Any], *, here: str = "", status: int = 200
) -> Response[str]:
    """Answer with a page inside its frame, or with the one part of it that htmx asks for."""
    around = await frame(services(request))
    return bare(request, name, {"frame": around, "here": here, **view}, status=status)


def bare(request: Asked, name: str, view: Mapping[str, Any], *, status: int = 200) -> Response[str]:
    """Answer with a page without a frame: for those who are not logged in."""
    whole = {
        "frame": None,
        "here": "",
        "root": root(request),
        "csrf": visit(request).csrf,
        "said": SAID.get(request.query_params.get("said", ""), ""),
        **view,
    }
    return Response(
        theatre.render(STAGE, name, whole, block(request)),
        media_type="text/html; charset=utf-8",
        status_code=status,
        headers={"Cache-Control": "no-store", "Vary": "HX-Request, HX-Target, Cookie"},
    )


def go(request: Asked, path: str, said: str = "") -> Redirect:
    """Send the browser to a page below the mount after a form was taken (303, relative)."""
    return Redirect(root(request) + path + (f"?said={quote(said)}" if said else ""), status_code=303)


def source(request: Asked) -> str:
    """Return the address that a request comes from, for counting failed passwords."""
    return request.client.host if request.client else ""


async def missing(request: Asked, title: str, hint: str) -> Response[str]:
    """Answer 404 inside the frame."""
    view = {"status": 404, "title": title, "text": "Nothing of that name is here.", "hint": hint}
    return await show(request, "error", view, status=404)


async def fields(request: Asked) -> dict[str, str]:
    """Return a form's fields; of those sent twice the last one. Files are ignored."""
    form = await request.form()
    return {name: value for name, value in form.multi_items() if isinstance(value, str)}
