"""What a stranger's text and pictures may not do to us, or make us say to others."""

import struct
import zlib
from encodings import _cache as known_encodings
from pathlib import Path
from xml.etree import ElementTree

import pytest

from appliance.domain.units import VideoId
from appliance.serve.dlna import soap
from appliance.serve.dlna.art import Art
from tests.dlna.box import Box, envelope

CDS = "urn:schemas-upnp-org:service:ContentDirectory:1"
HERE = "/dlna/control/ContentDirectory"


@pytest.mark.parametrize("more", ['"&#9;x="', "&lt;", "&amp;"])
async def test_a_service_type_with_marks_in_it_is_told_back_as_the_text_it_is(box: Box, more: str) -> None:
    body = envelope(f"<u:GetSystemUpdateID xmlns:u='{CDS}{more}'/>")
    answer = await box.client.post(HERE, content=body, headers={"content-type": "text/xml"})
    ((done,),) = ElementTree.fromstring(answer.text)
    assert (done.attrib, done.tag.endswith("}GetSystemUpdateIDResponse")) == ({}, True)


async def test_a_service_type_from_a_header_is_told_back_without_what_xml_cannot_hold(box: Box) -> None:
    said = {b"content-type": b"text/xml", b"soapaction": f'"{CDS}\xff<>&"x=#y"'.encode("latin-1")}
    answer = await box.client.post(HERE, content=envelope("<GetSystemUpdateID/>"), headers=said)
    ElementTree.fromstring(answer.text)
    assert soap.answer("a\x01\ud800b", "X", {}).count(b'"ab"') == 1


def test_encodings_that_nobody_knows_are_not_remembered() -> None:
    before = len(known_encodings)
    for n in range(50):
        with pytest.raises(soap.Unreadable):
            soap.call_of(b"<a/>", f"text/xml; charset=never-heard-of-{n}", "")
    assert len(known_encodings) == before


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((1 + -(-width // 8)) * height), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


async def test_a_picture_of_more_pixels_than_a_screen_ever_shows_is_not_decoded(tmp_path: Path) -> None:
    art = Art()
    try:
        for name, side, fine in (("fair.png", 1000, True), ("huge.png", 5000, False)):
            (tmp_path / name).write_bytes(_png(side, side))
            made = await art.small(VideoId("a" * 16), tmp_path / name)
            assert made.startswith(b"\xff\xd8") is fine
    finally:
        await art.close()
