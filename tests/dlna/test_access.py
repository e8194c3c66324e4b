"""Who may ask the media server: screens in the house, by one of our own addresses, and nobody else."""

from typing import Any

import pytest

from tests.dlna.box import IDENT, Box
from tests.unit.house import a_token

WHERE = (
    "/dlna/description.xml",
    "/dlna/ContentDirectory.xml",
    "/dlna/icon-120.png",
    "/dlna/control/ContentDirectory",
    "/dlna/event/ContentDirectory",
    "/dlna/",
    "/dlna",
)


async def _from(box: Box, source: str, path: str, method: str = "GET", **headers: str) -> int:
    """Return the status that a request from ``source`` gets."""
    sent: list[Any] = []
    host = headers.pop("host", "192.168.7.7:7333")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "scheme": "http",
        "headers": [
            (b"host", host.encode()),
            *((k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()),
        ],
        "client": (source, 50_000),
        "server": ("192.168.7.7", 7333),
        "state": {},
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await box.house.web(scope, receive, send)  # type: ignore[arg-type]
    return int(sent[0]["status"])


async def test_a_screen_in_the_house_is_answered_and_a_stranger_never(box: Box) -> None:
    box.house.lan = frozenset({"192.168.7.30"})
    assert await _from(box, "192.168.7.30", "/dlna/description.xml") == 200
    for path in WHERE:
        for method in ("GET", "POST", "SUBSCRIBE", "UNSUBSCRIBE", "OPTIONS"):
            assert await _from(box, "198.51.100.9", path, method) == 403
            assert await _from(box, "192.168.8.30", path, method) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"forwarded": "for=192.168.7.30"},
        {"x_forwarded_for": "192.168.7.30"},
        {"via": "1.1 proxy"},
        {"host": "tv.attacker.example"},
        {"host": "192.168.7.8:7333"},
        {"origin": "http://attacker.example"},
        {"sec_fetch_site": "cross-site"},
    ],
)
async def test_a_proxy_a_foreign_name_and_another_sites_page_are_refused(box: Box, headers: dict[str, str]) -> None:
    box.house.lan = frozenset({"192.168.7.30"})
    for method in ("GET", "POST", "SUBSCRIBE"):
        assert await _from(box, "192.168.7.30", "/dlna/control/ContentDirectory", method, **headers) == 403


async def test_no_token_and_no_login_opens_it_from_elsewhere(box: Box) -> None:
    token = await a_token(box.house)
    assert await _from(box, "198.51.100.9", "/dlna/description.xml", authorization=f"Bearer {token}") == 403
    assert await _from(box, "198.51.100.9", f"/t/{token}/dlna/description.xml") == 404


async def test_it_is_not_there_when_it_is_switched_off(own: Box) -> None:
    assert (await own.client.get("/dlna/description.xml")).status_code == 200
    await own.house.settings.save({"lan.dlna": False})
    for path in WHERE:
        assert (await own.client.get(path)).status_code == 404
    assert (await own.client.request("SUBSCRIBE", "/dlna/event/ContentDirectory")).status_code == 404


async def test_it_needs_playing_without_a_login(own: Box) -> None:
    await own.house.settings.save({"web.play_without_login": False})
    assert (await own.client.get("/dlna/description.xml")).status_code == 403


async def test_addresses_come_from_where_the_connection_came_to_and_never_from_the_host_header(box: Box) -> None:
    answer = await box.client.get("/dlna/description.xml", headers={"host": "localhost:1"})
    assert f"<presentationURL>{box.base}/</presentationURL>" in answer.text
    assert IDENT in answer.text


async def test_methods_that_an_address_does_not_have_are_refused(box: Box) -> None:
    for method, path, allowed in (
        ("GET", "/dlna/control/ContentDirectory", "POST"),
        ("POST", "/dlna/event/ContentDirectory", "SUBSCRIBE, UNSUBSCRIBE"),
        ("NOTIFY", "/dlna/event/ContentDirectory", "SUBSCRIBE, UNSUBSCRIBE"),
        ("DELETE", "/dlna/description.xml", "GET, HEAD"),
    ):
        answer = await box.client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    for path in (
        "/dlna/nothing",
        "/dlna/control/AVTransport",
        "/dlna/icon-64.png",
        "/dlna/art/../x.jpg",
        "/dlna/art/x.jpg",
    ):
        assert (await box.client.get(path)).status_code == 404


async def test_icons_and_service_descriptions_are_what_the_description_says(box: Box) -> None:
    from xml.etree import ElementTree

    device = "{urn:schemas-upnp-org:device-1-0}"
    root = ElementTree.fromstring((await box.client.get("/dlna/description.xml")).content)
    icons = list(root.iter(f"{device}icon"))
    assert len(icons) == 4
    for icon in icons:
        answer = await box.client.get(icon.findtext(f"{device}url", ""))
        assert answer.headers["content-type"] == icon.findtext(f"{device}mimetype")
        assert answer.content.startswith((b"\x89PNG", b"\xff\xd8"))
    for service in root.iter(f"{device}service"):
        answer = await box.client.get(service.findtext(f"{device}SCPDURL", ""))
        scpd = ElementTree.fromstring(answer.content)
        names = {v.text for v in scpd.findall(".//{*}stateVariable/{*}name")}
        related = {v.text for v in scpd.findall(".//{*}relatedStateVariable")}
        assert related
        assert related <= names


async def test_a_small_picture_is_made_once_and_is_small(box: Box) -> None:
    first = await box.client.get(f"/dlna/art/{box.ids[0]}.jpg")
    assert first.headers["content-type"] == "image/jpeg"
    assert "JPEG_TN" in first.headers["contentfeatures.dlna.org"]
    assert _size(first.content) == (160, 90)
    assert (await box.client.get(f"/dlna/art/{box.ids[0]}.jpg")).content == first.content
    head = await box.client.head(f"/dlna/art/{box.ids[0]}.jpg")
    assert (head.status_code, head.content, int(head.headers["content-length"])) == (200, b"", len(first.content))
    for other in (box.ids[1], box.ids[2]):
        assert (await box.client.get(f"/dlna/art/{other}.jpg")).status_code == 404


async def test_a_small_picture_is_had_by_range_as_its_features_say(box: Box) -> None:
    address = f"/dlna/art/{box.ids[0]}.jpg"
    whole = await box.client.get(address)
    assert "DLNA.ORG_OP=01;" in whole.headers["contentfeatures.dlna.org"]
    part = await box.client.get(address, headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole.content)}"
    past = await box.client.get(address, headers={"range": "bytes=999999-"})
    assert (past.status_code, past.headers["content-range"]) == (416, f"bytes */{len(whole.content)}")
    known = await box.client.get(address, headers={"if-none-match": whole.headers["etag"]})
    assert (known.status_code, known.content, "content-length" in known.headers) == (304, b"", False)


async def test_a_picture_that_is_none_is_not_there(own: Box) -> None:
    (picture,) = own.library.root.glob("*/*/picture.jpg")
    picture.write_bytes(b"#!EXTM3U\nfile:///etc/passwd\n")
    assert (await own.client.get(f"/dlna/art/{own.ids[0]}.jpg")).status_code == 404
    picture.write_bytes(b"\xff\xd8\xff\xe0" + b"\0" * 500)
    assert (await own.client.get(f"/dlna/art/{own.ids[0]}.jpg")).status_code == 404


def _size(jpeg: bytes) -> tuple[int, int]:
    """Width and height from the frame header (ITU-T T.81, B.2.2)."""
    at = 2
    while jpeg[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return int.from_bytes(jpeg[at + 7 : at + 9], "big"), int.from_bytes(jpeg[at + 5 : at + 7], "big")
