"""What the three services do when they are asked: this module answers their actions.

ContentDirectory:1, ConnectionManager:1, X_MS_MediaReceiverRegistrar:1, and what Samsung's televisions ask besides.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.serve.dlna.criteria import SEARCH_CAPABILITIES, SORT_CAPABILITIES, search_of, sorts_of
from appliance.serve.dlna.didl import Node, didl, wanted
from appliance.serve.dlna.families import Quirks
from appliance.serve.dlna.listings import Listings
from appliance.serve.dlna.services import CONNECTION_MANAGER, CONTENT_DIRECTORY, REGISTRAR, Service
from appliance.serve.dlna.soap import UNKNOWN_ACTION, Call, Fault
from appliance.serve.dlna.tree import Page, Tree
from appliance.serve.film.headers import CONTENT_FEATURES

MOST_AT_ONCE = 1000
"""Objects of one answer; whoever wants more asks again, from where it ends."""
NO_SUCH_CONNECTION = 706

_TYPES = (
    *("video/mp4", "video/mpeg", "video/webm", "video/x-matroska", "video/quicktime", "video/ogg"),
    *("audio/mp4", "audio/webm", "audio/ogg", "image/jpeg"),
)
SOURCE = ",".join(f"http-get:*:{kind}:{'*' if kind.startswith('image') else CONTENT_FEATURES}" for kind in _TYPES)
_FEATURE_LIST = (
    '<?xml version="1.0" encoding="utf-8"?><Features xmlns="urn:schemas-upnp-org:av:avs" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="urn:schemas-upnp-org:av:avs http://www.upnp.org/schemas/av/avs.xsd">'
    '<Feature name="samsung.com_BASICVIEW" version="1"><container id="0" type="object.item.audioItem"/>'
    '<container id="0" type="object.item.videoItem"/><container id="0" type="object.item.imageItem"/></Feature>'
    "</Features>"
)
"""Where a television finds what kind of thing: all in our root, an id that always resolves."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: ``base`` is our address as it reaches us, without a slash at its end."""

    base: str
    quirks: Quirks


class Actions:
    """See the module. Call it from the loop."""

    def __init__(self, tree: Tree, listings: Listings) -> None:
        self._tree, self._listings = tree, listings

    async def do(self, service: Service, call: Call, asker: Asker) -> Mapping[str, str]:
        """Return an action's answers by name, in order. Raises Fault, StoreError."""
        given = call.arguments
        if service is CONTENT_DIRECTORY and call.action == "Browse" and "ContainerID" in given:
            given = {"ObjectID": given["ContainerID"], **given}  # an Xbox 360 names it as a search does
        arguments = service.arguments(call.action, given)
        match service:
            case _ if service is CONTENT_DIRECTORY:
                return await self._directory(call.action, arguments, asker)
            case _ if service is CONNECTION_MANAGER:
                return _connections(call.action, arguments)
            case _:
                return _registrar(call.action)

    def values(self, service: Service) -> Mapping[str, str]:
        """Return a service's evented variables."""
        if service is CONTENT_DIRECTORY:
            return {
                "TransferIDs": "",
                "SystemUpdateID": str(self._listings.update_id),
                "ContainerUpdateIDs": self._listings.containers(),
            }
        if service is CONNECTION_MANAGER:
            return {"SourceProtocolInfo": SOURCE, "SinkProtocolInfo": "", "CurrentConnectionIDs": "0"}
        return dict.fromkeys(REGISTRAR.evented(), "0")

    async def _directory(self, action: str, given: Mapping[str, str], asker: Asker) -> Mapping[str, str]:
        match action:
            case "Browse":
                return await self._browse(given, asker)
            case "Search":
                return await self._search(given, asker)
            case "GetSystemUpdateID":
                return {"Id": str(self._listings.update_id)}
            case "GetSearchCapabilities":
                return {"SearchCaps": SEARCH_CAPABILITIES}
            case "GetSortCapabilities":
                return {"SortCaps": SORT_CAPABILITIES}
            case "X_GetFeatureList":
                return {"FeatureList": _FEATURE_LIST}
            case "X_SetBookmark":
                return {}
            case _:
                raise Fault(UNKNOWN_ACTION, "There is no such action.")

    async def _browse(self, given: Mapping[str, str], asker: Asker) -> Mapping[str, str]:
        ident = _meant(given["ObjectID"], asker.quirks)
        sorts = () if asker.quirks.own_order else sorts_of(given["SortCriteria"])
        update = self._listings.update_id  # before it is read: what changes meanwhile is news to who gets this page
        if given["BrowseFlag"] == "BrowseMetadata":
            return await _page(Page((await self._tree.node(ident),), 1), update, given, asker)
        start, count = _span(given)
        return await _page(await self._tree.children(ident, sorts, start, count), update, given, asker)

    async def _search(self, given: Mapping[str, str], asker: Asker) -> Mapping[str, str]:
        test = search_of(given["SearchCriteria"])
        sorts = () if asker.quirks.own_order else sorts_of(given["SortCriteria"])
        start, count = _span(given)
        ident = _meant(given["ContainerID"], asker.quirks)
        update = self._listings.update_id
        return await _page(await self._tree.search(ident, test, sorts, start, count), update, given, asker)


async def _page(page: Page, update: int, given: Mapping[str, str], asker: Asker) -> Mapping[str, str]:
    if len(page.nodes) > 100:
        text = await asyncio.to_thread(_text, page.nodes, given["Filter"], asker)
    else:
        text = _text(page.nodes, given["Filter"], asker)
    return {
        "Result": text,
        "NumberReturned": str(len(page.nodes)),
        "TotalMatches": str(page.total),
        "UpdateID": str(update),
    }


def _text(nodes: tuple[Node, ...], asked: str, asker: Asker) -> str:
    return didl(nodes, wanted(asked), asker.base, asker.quirks)


def _meant(ident: str, quirks: Quirks) -> str:
    return quirks.aliases.get(ident, ident)


def _span(given: Mapping[str, str]) -> tuple[int, int]:
    """(first, how many): 0 asks for all."""
    count = int(given["RequestedCount"])
    return int(given["StartingIndex"]), min(count, MOST_AT_ONCE) if count else MOST_AT_ONCE


def _connections(action: str, given: Mapping[str, str]) -> Mapping[str, str]:
    match action:
        case "GetProtocolInfo":
            return {"Source": SOURCE, "Sink": ""}
        case "GetCurrentConnectionIDs":
            return {"ConnectionIDs": "0"}
        case _ if given["ConnectionID"] != "0":
            raise Fault(NO_SUCH_CONNECTION, "There is no such connection.")
        case _:
            return {
                "RcsID": "-1",
                "AVTransportID": "-1",
                "ProtocolInfo": "",
                "PeerConnectionManager": "",
                "PeerConnectionID": "-1",
                "Direction": "Output",
                "Status": "OK",
            }


def _registrar(action: str) -> Mapping[str, str]:
    """Who is let in the door decided before us: everyone who gets here may."""
    return {"RegistrationRespMsg": ""} if action == "RegisterDevice" else {"Result": "1"}
