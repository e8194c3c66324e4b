"""Browsing and searching, as a television does it: over HTTP, in the real web with a real store."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest

from appliance.domain.channel import ChannelAddress, ChannelInfo, ChannelKind
from appliance.domain.pin import Wish
from appliance.domain.traffic import Entry, TrafficClass
from appliance.domain.units import ByteCount, RenditionName
from appliance.domain.video import Upstream, VideoDetail
from appliance.serve.dlna import actions
from appliance.serve.dlna.tree import Page
from appliance.store import cached, channels, ledger, videos
from appliance.store.records import fold
from tests.dlna.box import DIDL, NOW, TITLES, UPNP, Box, envelope, fault_of
from tests.unit.house import HOST, summary

BY_NAME = ["Äpfel & Birnen", "Bergwandern", "Citizen <Science>", "Dampflok", "Eulen", "Fjorde"]


async def test_the_tree_is_one_that_a_person_would_make(box: Box) -> None:
    root = await box.browse("0")
    assert root.titles == ["Newest", "Channels", "Rules", "Being watched", "All by name"]
    assert [node.get("childCount") for node in root.nodes] == ["6", "1", "1", "0", "6"]
    assert {node.get("parentID") for node in root.nodes} == {"0"}
    assert (await box.browse("new")).titles == list(TITLES)
    assert (await box.browse("all")).titles == BY_NAME
    (channel,) = (await box.browse("channels")).nodes
    assert (channel.get("parentID"), channel.get("childCount")) == ("channels", "6")
    assert (await box.browse(channel.get("id", ""))).titles == list(TITLES)
    (rule,) = (await box.browse("rules")).ids
    assert (await box.browse(rule)).titles == list(TITLES[:2])


async def test_every_object_names_its_parent_and_is_found_by_its_id(box: Box) -> None:
    waiting, seen = ["0"], 0
    while waiting:
        folder = waiting.pop()
        for node in (await box.browse(folder)).nodes:
            assert node.get("parentID") == folder
            own = await box.browse(node.get("id", ""), flag="BrowseMetadata")
            assert (own.returned, own.total) == (1, 1)
            assert ElementTree.tostring(own.nodes[0]) == ElementTree.tostring(node)
            seen += 1
            if node.tag == f"{DIDL}container":
                waiting.append(node.get("id", ""))
    assert seen == 5 + 6 + 1 + 6 + 1 + 2 + 6
    (root,) = (await box.browse("0", flag="BrowseMetadata")).nodes
    assert (root.get("id"), root.get("parentID"), root.get("childCount")) == ("0", "-1", "5")


async def test_a_video_in_two_folders_names_the_one_in_the_folder_of_all(box: Box) -> None:
    newest, everything = await box.browse("new", count=1), await box.browse("all")
    assert newest.nodes[0].get("refID") in everything.ids
    assert all(node.get("refID") is None for node in everything.nodes)


async def test_pages_are_cut_from_one_order_and_say_how_much_there_is(box: Box) -> None:
    cut = [await box.browse("all", start=start, count=2) for start in (0, 2, 4, 6)]
    assert [title for page in cut for title in page.titles] == BY_NAME
    assert [(page.returned, page.total) for page in cut] == [(2, 6), (2, 6), (2, 6), (0, 6)]
    assert (await box.browse("0", start=3, count=9)).titles == ["Being watched", "All by name"]


@pytest.mark.parametrize("count", [0, 5, 1000, 2**32 - 1])
async def test_no_page_is_longer_than_the_longest_and_says_how_much_there_is(
    box: Box, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "MOST_AT_ONCE", 4)
    page = await box.browse("all", count=count)
    assert (page.returned, page.total, page.titles) == (4, 6, BY_NAME[:4])
    assert (await box.browse("all", start=4, count=count)).titles == BY_NAME[4:]
    assert (await box.search("*", count=count)).returned == 4


async def test_a_film_of_any_length_says_how_long_it_is(own: Box) -> None:
    known = await own.house.store.read(videos.one, own.ids[0])
    assert known is not None
    lengths = {59: "0:00:59.000", 60: "0:01:00.000", 3723: "1:02:03.000", 360_000: "100:00:00.000"}
    for seconds, told in lengths.items():
        detail = VideoDetail(replace(known.summary, duration=seconds), Upstream.PUBLISHED, known.renditions)
        await own.house.store.write(videos.put_detail, detail, None, NOW)
        (node,) = (await own.browse(f"all${own.ids[0]}", flag="BrowseMetadata")).nodes
        assert {res.get("duration") for res in node.findall(f"{DIDL}res")} == {told}


async def test_an_order_that_is_asked_for_is_given(box: Box) -> None:
    assert (await box.browse("all", sort="-dc:title")).titles == BY_NAME[::-1]
    assert (await box.browse("new", sort="+dc:date")).titles == list(TITLES[::-1])
    assert (await box.browse("all", sort="-res@duration,+dc:title", count=1)).titles == ["Fjorde"]
    assert (await box.browse("all", sort="+upnp:class,dc:title")).titles == BY_NAME
    ask = {"ObjectID": "all", "BrowseFlag": "BrowseDirectChildren"}
    assert fault_of(await box.ask("ContentDirectory", "Browse", **ask, SortCriteria="+no:such")) == 709
    assert fault_of(await box.ask("ContentDirectory", "Browse", **ask, SortCriteria="+" * 5000)) == 709


async def test_folders_are_in_the_order_that_is_asked_for_by_their_titles(own: Box) -> None:
    for name in ("Zebras", "aardvarks", "Églises", "Films 10", "Films 9"):
        info = ChannelInfo(ChannelAddress(f"https://{HOST}", HOST, ChannelKind.CHANNEL, fold(name)), title=name)
        await own.house.store.promise(channels.follow, info, NOW)
    by_name = ["aardvarks", "Églises", "Films", "Films 9", "Films 10", "Zebras"]
    assert (await own.browse("channels", sort="+dc:title")).titles == by_name
    assert (await own.browse("channels", sort="-dc:date,-dc:title")).titles == by_name[::-1]
    assert (await own.browse("channels", sort="-dc:title", start=1, count=2)).titles == ["Films 10", "Films 9"]
    assert (await own.browse("0", sort="+dc:title")).titles == [
        *("Newest", "Channels", "Rules", "Being watched", "All by name")  # these few have an order that means something
    ]


async def test_only_what_is_asked_for_is_told_besides_what_must_be(box: Box) -> None:
    (bare,) = (await box.browse("all", count=1, asked="dc:title")).nodes
    assert [child.tag.rpartition("}")[2] for child in bare] == ["title", "class"]
    (some,) = (await box.browse("all", count=1, asked="dc:date,res@resolution,@refID")).nodes
    assert [child.tag.rpartition("}")[2] for child in some][:3] == ["title", "class", "date"]
    first = some.find(f"{DIDL}res")
    assert first is not None
    assert set(first.attrib) == {"protocolInfo", "size", "duration", "resolution"}


@pytest.mark.parametrize("names", ["", " ", "*", "res", "@duration", "dc:date,@resolution", "res@size,dc:title"])
async def test_what_a_film_lies_at_is_told_whoever_asks_for_any_of_it_or_names_nothing(box: Box, names: str) -> None:
    (item,) = (await box.browse("all", count=1, asked=names)).nodes
    first = item.find(f"{DIDL}res")
    assert first is not None
    assert first.text == f"{box.base}/media/{box.ids[0]}/1080p.mp4"
    assert {"protocolInfo", "size", "duration"} <= set(first.attrib)
    assert ("resolution" in first.attrib) == ("@resolution" in names or names.strip() in ("", "*"))


@pytest.mark.parametrize("name", ["@childCount", "container@childCount", "res,container@childCount,dc:date", "*"])
async def test_how_many_are_in_a_folder_is_told_however_it_is_asked_for(box: Box, name: str) -> None:
    told = await box.browse("0", asked=name)
    assert [node.get("childCount") for node in told.nodes] == ["6", "1", "1", "0", "6"]
    assert (await box.browse("0", asked="dc:title")).nodes[0].get("childCount") is None
    assert {node.findtext(f"{UPNP}storageUsed") for node in told.nodes} == {"-1"}


async def test_a_video_offers_first_what_an_old_television_can_play(box: Box) -> None:
    held = (await box.browse(f"all${box.ids[0]}", flag="BrowseMetadata")).nodes[0]
    offered = [res.text for res in held.findall(f"{DIDL}res")]
    assert offered == [f"{box.base}/media/{box.ids[0]}/{height}p.mp4" for height in (1080, 720, 2160)]
    sizes = [int(res.get("size", 0)) for res in held.findall(f"{DIDL}res")]
    assert all(size > 0 for size in sizes)
    assert held.find(f"{DIDL}res").get("duration") == "0:01:00.000"  # type: ignore[union-attr]


async def test_what_is_not_held_offers_what_would_be_opened(box: Box) -> None:
    unheld = (await box.browse(f"all${box.ids[2]}", flag="BrowseMetadata")).nodes[0]
    assert [res.text for res in unheld.findall(f"{DIDL}res")] == [f"{box.base}/media/{box.ids[2]}/720p.mp4"]
    split = (await box.browse(f"all${box.ids[3]}", flag="BrowseMetadata")).nodes[0]
    (film,) = split.findall(f"{DIDL}res")
    assert film.text == f"{box.base}/media/{box.ids[3]}/480p.mp4"
    assert int(film.get("size", 0)) > 480 * 100_000 + 5_000_000  # picture, sound, and an index
    parted = (await box.browse(f"all${box.ids[4]}", flag="BrowseMetadata")).nodes[0]
    (stream,) = parted.findall(f"{DIDL}res")
    assert (stream.text, stream.get("size")) == (f"{box.base}/media/{box.ids[4]}/720p.ts", "72000000")
    assert stream.get("protocolInfo", "").startswith("http-get:*:video/mpeg:DLNA.ORG_OP=01;")


async def test_what_a_person_never_wants_is_not_shown_and_its_id_is_gone(own: Box) -> None:
    await own.house.store.promise(videos.wish, own.ids[1], Wish.NEVER)
    assert "Bergwandern" not in (await own.browse("all")).titles
    ask = {"BrowseFlag": "BrowseMetadata", "ObjectID": f"all${own.ids[1]}"}
    assert fault_of(await own.ask("ContentDirectory", "Browse", **ask)) == 701


async def test_what_the_origin_took_away_is_shown_only_where_it_is_held(own: Box) -> None:
    gone = [own.ids[0], own.ids[4], own.ids[5]]
    for n, ident in ((0, gone[0]), (4, gone[1]), (5, gone[2])):
        known = await own.house.store.read(videos.one, ident)
        assert known is not None
        detail = VideoDetail(summary(n, TITLES[n], NOW), Upstream.GONE, known.renditions)
        await own.house.store.write(videos.put_detail, detail, None, NOW)
    await own.house.store.write(cached.put, own.ids[4], ByteCount(9), NOW, whole=True)
    await own.house.store.write(cached.put, own.ids[5], ByteCount(9), NOW, whole=False)
    assert (await own.browse("all")).titles == [
        "Äpfel & Birnen",
        "Bergwandern",
        "Citizen <Science>",
        "Dampflok",
        "Eulen",
    ]


async def test_what_is_live_is_not_shown(own: Box) -> None:
    known = await own.house.store.read(videos.one, own.ids[1])
    assert known is not None
    live = replace(known.summary, is_live=True)
    await own.house.store.write(videos.put_detail, VideoDetail(live, Upstream.PUBLISHED, known.renditions), None, NOW)
    for folder in ("new", "all", f"channel-{own.channel}"):
        assert "Bergwandern" not in (await own.browse(folder)).titles
    assert (await own.search('dc:title = "bergwandern"')).total == 0
    ask = {"BrowseFlag": "BrowseMetadata", "ObjectID": f"all${own.ids[1]}"}
    assert fault_of(await own.ask("ContentDirectory", "Browse", **ask)) == 701


async def test_what_a_channel_lists_no_more_is_not_in_its_folder_and_still_among_all_where_it_is_held(own: Box) -> None:
    rest = [n for n in range(6) if n != 1]
    await own.house.store.write(
        videos.put_page, own.channel, tuple(summary(n, TITLES[n], NOW) for n in rest), NOW + timedelta(hours=1), 2
    )
    await own.house.store.write(videos.close_listing, own.channel, 2, NOW + timedelta(hours=1))
    (channel,) = (await own.browse("channels")).nodes
    assert channel.get("childCount") == "5"
    assert (await own.browse(channel.get("id", ""))).titles == [TITLES[n] for n in rest]
    assert "Bergwandern" in (await own.browse("all")).titles


async def test_what_is_watched_now_comes_before_what_was(own: Box) -> None:
    assert (await own.browse("watched")).titles == []
    day = own.house.clock.now().date() - timedelta(days=2)
    seen = Entry(day, own.ids[5], RenditionName("720p"), TrafficClass.LAN_PLAYERS, ByteCount(9000), ByteCount(0))
    await own.house.store.write(ledger.add, [seen])
    own.house.leases.renew(own.ids[2], "192.168.7.30")
    assert (await own.browse("watched")).titles == ["Citizen <Science>", "Fjorde"]


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ({"ObjectID": "nothing", "BrowseFlag": "BrowseMetadata"}, 701),
        ({"ObjectID": "all$aaaaaaaaaaaaaaaa", "BrowseFlag": "BrowseMetadata"}, 701),
        ({"ObjectID": "nothing$aaaaaaaaaaaaaaaa", "BrowseFlag": "BrowseMetadata"}, 701),
        ({"ObjectID": "all$../../etc", "BrowseFlag": "BrowseMetadata"}, 701),
        ({"ObjectID": "channel-unknown", "BrowseFlag": "BrowseDirectChildren"}, 701),
        ({"ObjectID": "x" * 4000, "BrowseFlag": "BrowseDirectChildren"}, 701),
        ({"ObjectID": "x" * 40_000, "BrowseFlag": "BrowseDirectChildren"}, 402),
        ({"ObjectID": "0", "BrowseFlag": "BrowseEverything"}, 402),
        ({"ObjectID": "0"}, 402),
        ({"BrowseFlag": "BrowseMetadata"}, 402),
        ({"ObjectID": "0", "BrowseFlag": "BrowseDirectChildren", "StartingIndex": "-1"}, 402),
        ({"ObjectID": "0", "BrowseFlag": "BrowseDirectChildren", "StartingIndex": "9" * 30}, 402),
        ({"ObjectID": "0", "BrowseFlag": "BrowseDirectChildren", "RequestedCount": "many"}, 402),
        ({"ObjectID": "0", "BrowseFlag": "BrowseDirectChildren", "RequestedCount": "٣"}, 402),
    ],
)
async def test_bad_arguments_get_the_fault_that_control_points_expect(
    box: Box, given: dict[str, str], number: int
) -> None:
    assert fault_of(await box.ask("ContentDirectory", "Browse", **given)) == number


async def test_a_video_is_no_folder(box: Box) -> None:
    ask = {"BrowseFlag": "BrowseDirectChildren", "ObjectID": f"all${box.ids[0]}"}
    assert fault_of(await box.ask("ContentDirectory", "Browse", **ask)) == 710


async def test_an_unknown_action_or_service_is_a_fault(box: Box) -> None:
    assert fault_of(await box.ask("ContentDirectory", "DestroyObject", ObjectID="0")) == 401
    assert fault_of(await box.ask("ConnectionManager", "Browse", ObjectID="0")) == 401
    other = envelope('<u:Play xmlns:u="urn:schemas-upnp-org:service:AVTransport:1"/>')
    assert fault_of(await box.client.post("/dlna/control/ContentDirectory", content=other)) == 401


async def test_a_request_that_names_the_service_only_in_its_header_is_understood(box: Box) -> None:
    body = envelope("<GetSystemUpdateID/>")
    named = {"soapaction": '"urn:schemas-upnp-org:service:ContentDirectory:1#GetSystemUpdateID"'}
    answer = await box.client.post("/dlna/control/ContentDirectory", content=body, headers=named)
    assert answer.status_code == 200
    assert int(ElementTree.fromstring(answer.content).findtext(".//Id") or 0) > 0


async def test_an_xbox_names_the_folder_as_a_search_does(box: Box) -> None:
    ask = {"ContainerID": "15", "BrowseFlag": "BrowseDirectChildren"}
    answer = await box.ask("ContentDirectory", "Browse", {"user-agent": "Xbox/2.0.8955.0 UPnP/1.0 Xbox/2.0"}, **ask)
    assert "<TotalMatches>6</TotalMatches>" in answer.text


@pytest.mark.parametrize(
    ("criteria", "found"),
    [
        ("*", BY_NAME),
        ('dc:title contains "BERG"', ["Bergwandern"]),
        ('dc:title contains "berg" or dc:title = "eulen"', ["Bergwandern", "Eulen"]),
        ('(dc:title contains "e" and dc:title doesNotContain "berg") and dc:title startsWith "eu"', ["Eulen"]),
        ('dc:title contains "e" and dc:title contains "z" or dc:title = "fjorde"', ["Citizen <Science>", "Fjorde"]),
        ('upnp:class derivedfrom "object.item.videoItem" and @refID exists false', BY_NAME),
        ('upnp:class derivedfrom "object.item.audioItem"', []),
        ('upnp:class derivedfrom "object.container"', []),
        ('upnp:class = "object.item.videoItem"', BY_NAME),
        ('dc:date >= "2026-11-19"', ["Äpfel & Birnen", "Bergwandern"]),
        ('dc:date < "2026-11-16T00:00:00"', ["Fjorde"]),
        ('res@duration > "0:01:04"', ["Fjorde"]),
        ('dc:creator = "Films"', BY_NAME),
        ("upnp:genre exists true", []),
        ('upnp:album contains "x"', []),
        ('dc:title contains "%"', []),
        ('dc:title contains "\\\\"', []),
    ],
)
async def test_a_search_finds_what_it_says(box: Box, criteria: str, found: list[str]) -> None:
    page = await box.search(criteria, sort="+dc:title")
    assert page.titles == found
    assert page.total == len(found)
    assert all(ident.startswith("all$") for ident in page.ids)


@pytest.mark.parametrize(
    "criteria",
    [
        "dc:title contains",
        'dc:title contains "open',
        "dc:title contains open",
        'dc:title resembles "x"',
        '(dc:title = "x"',
        'dc:title = "x")',
        'dc:title = "x" dc:title = "y"',
        "@refID exists perhaps",
        'dc:date > "yesterday"',
        'dc:date > "2026-99-99"',
        'res@duration < "long"',
        "(" * 300,
        'dc:title = "x" or ' * 100,
        'dc:title = "' + "x" * 3000 + '"',
    ],
)
async def test_a_search_that_cannot_be_read_is_a_fault(box: Box, criteria: str) -> None:
    ask = {"ContainerID": "0", "SearchCriteria": criteria}
    assert fault_of(await box.ask("ContentDirectory", "Search", **ask)) == 708


async def test_a_search_stays_within_its_folder(box: Box) -> None:
    (rule,) = (await box.browse("rules")).ids
    assert (await box.search('dc:title contains "e"', rule, sort="dc:title")).titles == BY_NAME[:2]
    assert fault_of(await box.ask("ContentDirectory", "Search", ContainerID="nowhere", SearchCriteria="*")) == 701
    video = f"all${box.ids[0]}"
    assert fault_of(await box.ask("ContentDirectory", "Search", ContainerID=video, SearchCriteria="*")) == 710


async def test_the_update_id_moves_with_what_is_shown_and_not_without(own: Box) -> None:
    before = (await own.browse("all")).update
    assert (await own.browse("all")).update == before
    await own.house.store.promise(videos.wish, own.ids[1], Wish.PIN)
    assert (await own.browse("all")).update > before


async def test_what_changes_while_a_page_is_read_is_news_to_who_gets_it(
    own: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, real = own.app._tree, own.app._tree.children

    async def meanwhile(*asked: Any) -> Page:
        page = await real(*asked)
        own.app.stir()
        return page

    before = (await own.browse("all")).update
    monkeypatch.setattr(tree, "children", meanwhile)
    assert (await own.browse("all")).update == before
    monkeypatch.undo()
    assert (await own.browse("all")).update > before


async def test_the_other_services_answer(box: Box) -> None:
    told = await box.ask("ConnectionManager", "GetProtocolInfo")
    assert "http-get:*:video/mp4:DLNA.ORG_OP=01" in told.text
    assert "<ConnectionIDs>0</ConnectionIDs>" in (await box.ask("ConnectionManager", "GetCurrentConnectionIDs")).text
    info = await box.ask("ConnectionManager", "GetCurrentConnectionInfo", ConnectionID="0")
    assert "<Direction>Output</Direction>" in info.text
    assert fault_of(await box.ask("ConnectionManager", "GetCurrentConnectionInfo", ConnectionID="7")) == 706
    for action in ("IsAuthorized", "IsValidated"):
        assert "<Result>1</Result>" in (await box.ask("MediaReceiverRegistrar", action, DeviceID="x")).text
    assert (await box.ask("MediaReceiverRegistrar", "RegisterDevice", RegistrationReqMsg="")).status_code == 200


async def test_samsungs_own_actions_are_answered_with_ids_that_resolve(box: Box) -> None:
    answer = await box.ask("ContentDirectory", "X_GetFeatureList")
    text = ElementTree.fromstring(answer.content).findtext(".//FeatureList") or ""
    containers = ElementTree.fromstring(text).findall(".//{urn:schemas-upnp-org:av:avs}container")
    assert {c.get("type") for c in containers} == {f"object.item.{kind}Item" for kind in ("audio", "video", "image")}
    for container in containers:
        assert (await box.browse(container.get("id", ""))).total == 5
    mark = {"CategoryType": "1", "RID": "2", "ObjectID": "all", "PosSecond": "95"}
    assert (await box.ask("ContentDirectory", "X_SetBookmark", **mark)).status_code == 200


async def test_capabilities_are_true(box: Box) -> None:
    answer = await box.ask("ContentDirectory", "GetSortCapabilities")
    caps = (ElementTree.fromstring(answer.content).findtext(".//SortCaps") or "").split(",")
    for name in caps:
        assert (await box.browse("all", sort=f"-{name}")).total == 6
    answer = await box.ask("ContentDirectory", "GetSearchCapabilities")
    for name in (ElementTree.fromstring(answer.content).findtext(".//SearchCaps") or "").split(","):
        assert (await box.search(f"{name} exists true")).total in (0, 6)
