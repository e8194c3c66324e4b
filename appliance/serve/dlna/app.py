"""The media server as an ASGI app below ``/dlna/``: this module takes requests apart and answers them.

    description.xml  {service}.xml  icon-{48,120}.{png,jpg}      what we are
    control/{service}                                            SOAP: POST
    event/{service}                                              GENA: SUBSCRIBE, UNSUBSCRIBE
    art/{video}.jpg                                              a picture of 160 pixels

It decides nothing about access: who gets here is on the household's network. Absolute addresses come from the address
of ours that the connection came to, never from what the request says of it.
"""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from importlib import resources

from appliance.clock import Clock
from appliance.domain.shelf import Beside
from appliance.domain.units import VideoId
from appliance.errors import StoreError
from appliance.lan.notify import callback_of
from appliance.library.layout import is_video_id
from appliance.library.marker import Library
from appliance.serve import ranges
from appliance.serve.dlna.actions import Actions, Asker
from appliance.serve.dlna.art import Art
from appliance.serve.dlna.description import ICON_TYPES, ICONS, Card, description
from appliance.serve.dlna.events import Notify, Subscription, Subscriptions, Unwelcome
from appliance.serve.dlna.families import Families, Quirks
from appliance.serve.dlna.listings import EVERYWHERE, Listings
from appliance.serve.dlna.request import Gone, Headers, Receive, Request, Scope, Send
from appliance.serve.dlna.services import BY_SLUG, CONTENT_DIRECTORY, Service, scpd
from appliance.serve.dlna.sides import Sides
from appliance.serve.dlna.soap import FAILED, Fault, Unreadable, answer, call_of, fault
from appliance.serve.dlna.tree import Copies, Tree
from appliance.serve.ranges import entity_tag
from appliance.store import screens
from appliance.store.engine import Store
from appliance.store.leases import Leases

log = logging.getLogger(__name__)

XML = b'text/xml; charset="utf-8"'
AT_ONCE, AT_ONCE_OF_HOST = 48, 12
"""Actions done at once, of all and of one host; who comes then is asked to come again."""
_READ = ("GET", "HEAD")
_PICTURE_FEATURES = b"DLNA.ORG_PN=JPEG_TN;DLNA.ORG_OP=01;DLNA.ORG_CI=1;DLNA.ORG_FLAGS=00D00000000000000000000000000000"
_ICONS = {f"icon-{size}.{kind}": ICON_TYPES[kind] for kind, size in ICONS}


class DlnaApp:
    """The ASGI app. ``close`` ends its subscriptions, threads and listening."""

    def __init__(
        self,
        store: Store,
        leases: Leases,
        library: Library,
        clock: Clock,
        notify: Notify,
        name: Callable[[], str],
        ident: str,
        version: str,
        copies: Copies,
        beside: Beside | None,
    ) -> None:
        self._store, self._name, self._version = store, name, version
        self._ident = ident
        self._families: Families | None = None
        self._sides, self._art = Sides(library, store, clock, beside), Art()
        self._listings = Listings(store, clock, self._changed)
        self._tree = Tree(store, leases, self._listings, self._sides, clock, copies)
        self._actions = Actions(self._tree, self._listings)
        self._events = Subscriptions(notify, self._actions.values, clock)
        self._unlisten = leases.listen(lambda _: self._listings.stir("watched"))
        self._busy = Counter[str]()

    async def close(self) -> None:
        """Idempotent."""
        self._unlisten()
        await self._events.close()
        await self._listings.close()
        await self._art.close()
        await self._sides.close()

    async def prepare(self) -> None:
        """Have at hand what the first screen that asks would wait for; not what it asks for. Never raises."""
        try:
            self._families = await asyncio.to_thread(Families) if self._families is None else self._families
            await self._tree.prepare()
        except Exception:
            log.exception("Nothing is prepared for screens")

    def stir(self) -> None:
        """What is offered of some videos changed, which the store does not tell."""
        self._listings.stir(*EVERYWHERE)

    def _changed(self) -> None:
        self._events.changed(CONTENT_DIRECTORY, "SystemUpdateID", "ContainerUpdateIDs")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive, send)
        try:
            await self._answer(request)
        except Unreadable as error:
            await request.reply(error.status, error.message.encode(), b"text/plain; charset=utf-8")
        except Unwelcome as error:
            await request.reply(error.status)
        except Gone:
            return
        except Exception:
            log.exception("Answering %s %r failed", request.method, request.path[:200])
            if not request.started:
                await request.reply(500)

    async def _answer(self, request: Request) -> None:
        methods, answer_it = self._route(request.path.removeprefix("/dlna").strip("/").split("/"))
        if methods and request.method not in methods:
            await request.reply(405, extra=[(b"allow", ", ".join(methods).encode())])
        else:
            await answer_it(request)

    def _route(self, steps: list[str]) -> tuple[tuple[str, ...], Callable[[Request], Awaitable[None]]]:
        """(methods, what answers them)."""
        match steps:
            case ["control", slug] if slug in BY_SLUG:
                return ("POST",), partial(self._control, BY_SLUG[slug])
            case ["event", slug] if slug in BY_SLUG:
                return ("SUBSCRIBE", "UNSUBSCRIBE"), partial(self._event, BY_SLUG[slug])
            case ["description.xml"]:
                return _READ, self._description
            case [name] if name.removesuffix(".xml") in BY_SLUG and name.endswith(".xml"):
                return _READ, partial(_service, BY_SLUG[name.removesuffix(".xml")])
            case [name] if name in _ICONS:
                return _READ, partial(_icon, name)
            case ["art", name] if name.endswith(".jpg") and is_video_id(name.removesuffix(".jpg")):
                return _READ, partial(self._picture, VideoId(name.removesuffix(".jpg")))
            case _:
                return (), _nothing

    async def _description(self, request: Request) -> None:
        quirks = await self._quirks(request)
        card = Card(self._name(), self._ident, self._version, request.base + "/")
        await request.reply(200, description(card, quirks), XML)

    async def _quirks(self, request: Request) -> Quirks:
        """Return how to answer the family of whoever asks; the first time reads files."""
        if self._families is None:
            self._families = await asyncio.to_thread(Families)
        return self._families.of(request.headers, request.source)

    # Control

    async def _control(self, service: Service, request: Request) -> None:
        body = await request.body()
        if self._busy.total() >= AT_ONCE or self._busy[request.source] >= AT_ONCE_OF_HOST:
            await request.reply(503, extra=[(b"retry-after", b"1")])
            return
        self._busy[request.source] += 1
        try:
            status, text = 200, await self._done(service, request, body)
        except Fault as error:
            status, text = 500, fault(error)
        finally:
            self._busy -= Counter((request.source,))
        await request.reply(status, text, XML, extra=[(b"ext", b"")])

    async def _done(self, service: Service, request: Request, body: bytes) -> bytes:
        call = call_of(body, request.said(b"content-type"), request.said(b"soapaction"))
        if not _same_service(call.service, service.type):
            raise Fault(401, "This service has no such action.")
        quirks = await self._quirks(request)
        try:
            values = await self._actions.do(service, call, Asker(request.base, quirks))
        except StoreError as error:
            raise Fault(FAILED, error.message) from error
        return answer(call.service, call.action, values)

    # Events

    async def _event(self, service: Service, request: Request) -> None:
        sid, callback, timeout = request.said(b"sid"), request.said(b"callback"), request.said(b"timeout")
        if sid and (callback or b"nt" in request.headers):
            raise Unwelcome(400)
        if request.method == "UNSUBSCRIBE":
            self._events.end(service, request.source, sid)
            await request.reply(200)
        elif sid:
            await _subscribed(request, self._events.renew(service, request.source, sid, timeout))
        else:
            found = callback_of(callback, request.source)
            if request.said(b"nt").strip() != "upnp:event" or found is None:
                raise Unwelcome(412)
            made = self._events.take(service, request.source, found, timeout)
            try:
                await _subscribed(request, made)
            finally:
                self._events.begin(made)

    # Pictures

    async def _picture(self, ident: VideoId, request: Request) -> None:
        video = await self._store.read(screens.one, ident)
        path = None if video is None else await self._sides.picture(video)
        made = b"" if path is None else await self._art.small(ident, path)
        if not made:
            await request.reply(404, extra=[(b"cache-control", b"no-store")])
            return
        tag = entity_tag(hashlib.sha256(made).hexdigest(), len(made))
        head = ranges.answer(request.method, request.headers, tag, len(made), "image/jpeg")
        extra = [header for header in head.headers if header[0] not in (b"content-length", b"content-type")]
        extra += [(b"contentfeatures.dlna.org", _PICTURE_FEATURES), (b"transfermode.dlna.org", b"Interactive")]
        part = made[head.offset : head.offset + head.count]
        await request.reply(head.status, part, b"image/jpeg", cache=b"max-age=3600", extra=extra)


def create_dlna_app(
    store: Store,
    leases: Leases,
    library: Library,
    clock: Clock,
    notify: Notify,
    *,
    name: Callable[[], str],
    ident: str,
    version: str,
    copies: Copies = lambda _: None,
    beside: Beside | None = None,
) -> DlnaApp:
    """Return the app. ``name`` is what screens show, ``ident`` the device's UUID, the same for ever; ``notify`` tells
    subscribers (``appliance.lan.notify``); ``beside`` has pictures and subtitles of what is not held."""
    return DlnaApp(store, leases, library, clock, notify, name, ident, version, copies, beside)


async def _subscribed(request: Request, one: Subscription) -> None:
    granted: Headers = [(b"sid", one.sid.encode()), (b"timeout", b"Second-%d" % one.seconds)]
    await request.reply(200, extra=granted)


def _same_service(asked: str, ours: str) -> bool:
    """Whether a service type is ours in this version or another: what a version 2 asks for we may have too."""
    return asked.rpartition(":")[0] == ours.rpartition(":")[0]


async def _nothing(request: Request) -> None:
    await request.reply(404)


async def _service(service: Service, request: Request) -> None:
    await request.reply(200, scpd(service), XML)


async def _icon(name: str, request: Request) -> None:
    data = await asyncio.to_thread(_icon_data, name)
    await request.reply(200, data, _ICONS[name].encode(), cache=b"max-age=86400")


@lru_cache(8)
def _icon_data(name: str) -> bytes:
    return (resources.files(__package__) / "icons" / name).read_bytes()
