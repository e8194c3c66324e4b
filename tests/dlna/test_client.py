"""A control point that is not ours (async-upnp-client) finds its way: describes, subscribes, browses, searches."""

import asyncio

import pytest
from async_upnp_client.aiohttp import AiohttpNotifyServer, AiohttpSessionRequester
from async_upnp_client.client_factory import UpnpFactory
from async_upnp_client.exceptions import UpnpActionError
from async_upnp_client.profiles.dlna import DmsDevice

from tests.dlna.box import IDENT, TITLES, Box


async def test_a_control_point_that_is_not_ours_uses_all_of_it(box: Box) -> None:
    import aiohttp

    async with aiohttp.ClientSession() as session:
        requester = AiohttpSessionRequester(session)
        device = await UpnpFactory(requester).async_create_device(f"{box.base}/dlna/description.xml")
        assert (device.udn, device.friendly_name) == (f"uuid:{IDENT}", "Attic & Co")
        assert DmsDevice.is_profile_device(device)
        ear = AiohttpNotifyServer(requester, source=("127.0.0.1", 0))
        await ear.async_start_server()
        try:
            server = DmsDevice(device, ear.event_handler)
            told = asyncio.Event()
            server.on_event = lambda *_: told.set()
            await server.async_subscribe_services()
            async with asyncio.timeout(10):
                await told.wait()
            await _browses(box, server)
            await server.async_unsubscribe_services()
        finally:
            await ear.async_stop_server()


async def _browses(box: Box, server: DmsDevice) -> None:
    root = await server.async_browse_direct_children("0")
    assert [one.title for one in root.result] == ["Newest", "Channels", "Rules", "Being watched", "All by name"]
    newest = await server.async_browse_direct_children("new", starting_index=1, requested_count=2)
    assert [one.title for one in newest.result] == list(TITLES[1:3])
    assert (newest.number_returned, newest.total_matches) == (2, 6)
    one = await server.async_browse_metadata(f"all${box.ids[0]}")
    assert one.res[0].uri == f"{box.base}/media/{box.ids[0]}/1080p.mp4"
    assert one.res[0].resolution == "1920x1080"
    found = await server.async_search_directory("0", 'dc:title contains "berg"')
    assert [one.title for one in found.result] == ["Bergwandern"]
    with pytest.raises(UpnpActionError) as gone:
        await server.async_browse_metadata("nothing")
    assert gone.value.error_code == 701
