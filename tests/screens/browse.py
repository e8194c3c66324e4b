"""``python -m tests.screens.browse ADDRESS``: a control point that is not ours (async-upnp-client) on a host of a lab.

This module searches from that address for media servers, subscribes to the first and walks through its folders; it
writes what it found as one line of JSON.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

import aiohttp
from async_upnp_client.aiohttp import AiohttpNotifyServer, AiohttpSessionRequester
from async_upnp_client.client import UpnpService, UpnpStateVariable
from async_upnp_client.client_factory import UpnpFactory
from async_upnp_client.profiles.dlna import DmsDevice
from async_upnp_client.search import async_search
from async_upnp_client.utils import CaseInsensitiveDict

MEDIA_SERVER = "urn:schemas-upnp-org:device:MediaServer:1"


async def _located(address: str) -> str:
    """Search until a server answers, and return where its description is."""
    found: asyncio.Queue[CaseInsensitiveDict] = asyncio.Queue()
    async with asyncio.timeout(30):
        while found.empty():
            await async_search(found.put, timeout=2, search_target=MEDIA_SERVER, source=(address, 0))
    return str((await found.get())["location"])


async def browse(address: str) -> dict[str, Any]:
    """Return the server's name, how many events came, its folders' titles, and its videos with their resources."""
    location = await _located(address)
    async with aiohttp.ClientSession() as session:
        requester = AiohttpSessionRequester(session)
        device = await UpnpFactory(requester).async_create_device(location)
        assert DmsDevice.is_profile_device(device)
        ear = AiohttpNotifyServer(requester, source=(address, 0))
        await ear.async_start_server()
        try:
            server = DmsDevice(device, ear.event_handler)
            events: asyncio.Queue[str] = asyncio.Queue()

            def told(service: UpnpService, _: Sequence[UpnpStateVariable[Any]]) -> None:
                events.put_nowait(service.service_type)

            server.on_event = told
            await server.async_subscribe_services()
            async with asyncio.timeout(10):
                first = await events.get()
            folders, items = await _walk(server)
            await server.async_unsubscribe_services()
        finally:
            await ear.async_stop_server()
        return {"location": location, "name": device.friendly_name, "event": first, "folders": folders, "items": items}


async def _walk(server: DmsDevice) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the titles of all folders, and the videos of the one that has all."""
    folders, items, waiting = [], [], ["0"]
    while waiting:
        ident, at = waiting.pop(0), 0
        while True:
            page = await server.async_browse_direct_children(ident, starting_index=at, requested_count=10)
            for one in page.result:
                if one.upnp_class.startswith("object.container"):
                    folders.append(one.title)
                    waiting.append(one.id)
                elif ident == "all":
                    res = [(r.uri, r.protocol_info, r.size, r.duration) for r in one.res]
                    items.append({"title": one.title, "res": [r[0] for r in res], "about": res})
            at += page.number_returned
            if not page.number_returned or at >= page.total_matches:
                break
    return folders, items


if __name__ == "__main__":
    print(json.dumps(asyncio.run(browse(sys.argv[1]))))
