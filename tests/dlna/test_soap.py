"""Hostile SOAP: whatever comes, the answer is one that UPnP or HTTP has for it, and nothing of it is carried out."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.serve.dlna import soap
from appliance.serve.dlna.app import AT_ONCE, AT_ONCE_OF_HOST
from appliance.serve.dlna.criteria import search_of, sorts_of
from appliance.serve.dlna.soap import Fault, Unreadable
from tests.dlna.box import Box, envelope

CDS = "urn:schemas-upnp-org:service:ContentDirectory:1"
HERE = "/dlna/control/ContentDirectory"
FINE = envelope(f'<u:GetSystemUpdateID xmlns:u="{CDS}"/>')
BILLION = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>' + FINE[FINE.index(b"<s:Env") :].replace(b"<s:Body>", b"<s:Body>&c;")
)
OUTSIDE = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
    + envelope(f'<u:Browse xmlns:u="{CDS}"><ObjectID>&f;</ObjectID></u:Browse>')[38:]
)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"hello", 400),
        (b"<", 400),
        (b"<html><body><p>no</p></body></html>", 400),
        (FINE[:-9], 400),
        (FINE + b"<more/>", 400),
        (BILLION, 400),
        (OUTSIDE, 400),
        (b'<!DOCTYPE s:Envelope SYSTEM "http://127.0.0.1/x.dtd">' + FINE[38:], 400),
        (FINE.replace(b"<s:Body>", b"<s:Body>&amp;&unknown;"), 400),
        (envelope("<a>" * 500 + "</a>" * 500), 400),
        (envelope("<a/>" * 500), 400),
        (envelope(f'<u:GetSystemUpdateID xmlns:u="{CDS}"/>' * 2), 400),
        (envelope(""), 400),
        (b"\xff\xfe\x00", 400),
        (b"\x80\x81\x82", 400),
        (FINE.replace(b"utf-8", b"utf-7"), 415),
        (FINE.replace(b"utf-8", b"zlib"), 415),
        (FINE.replace(b"utf-8", b"no-such"), 415),
        (FINE + b" " * soap.MOST_BODY, 413),
    ],
    ids=range(20),
)
async def test_what_is_no_request_is_refused_in_words(box: Box, body: bytes, status: int) -> None:
    answer = await box.client.post(HERE, content=body, headers={"content-type": "text/xml"})
    assert answer.status_code == status, answer.text
    assert answer.text.endswith(".")


async def test_an_endless_body_is_cut_off(box: Box) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"<x>" * 1000

    answer = await box.client.post(HERE, content=endless())
    assert answer.status_code == 413


@pytest.mark.parametrize("name", ["utf-8", "utf-16", "iso-8859-1", "windows-1252"])
async def test_encodings_that_control_points_use_are_read(box: Box, name: str) -> None:
    title = "Äpfel"
    text = FINE.decode().replace("utf-8", name)
    text = text.replace(
        f'<u:GetSystemUpdateID xmlns:u="{CDS}"/>',
        f'<u:Search xmlns:u="{CDS}"><ContainerID>0</ContainerID>'
        f"<SearchCriteria>dc:title contains &quot;{title}&quot;</SearchCriteria></u:Search>",
    )
    answer = await box.client.post(HERE, content=text.encode(name), headers={"content-type": "text/xml"})
    assert answer.status_code == 200, answer.text
    assert "<TotalMatches>1</TotalMatches>" in answer.text
    said = {"content-type": f'text/xml; charset="{name}"'}
    declared = text[text.index("?>") + 2 :].encode(name)
    assert "<TotalMatches>1</TotalMatches>" in (await box.client.post(HERE, content=declared, headers=said)).text


async def test_twenty_years_of_noise_before_and_after_the_envelope_is_forgiven(box: Box) -> None:
    answer = await box.client.post(HERE, content=b"\r\n" + FINE + b"\r\n\0")
    assert answer.status_code == 200


async def test_a_host_that_asks_too_much_at_once_is_asked_to_come_again_and_others_are_not(own: Box) -> None:
    own.app._busy["127.0.0.1"] = AT_ONCE_OF_HOST
    refused = await own.client.post(HERE, content=FINE)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    own.app._busy.clear()
    own.app._busy["192.168.7.30"] = AT_ONCE_OF_HOST
    assert (await own.client.post(HERE, content=FINE)).status_code == 200
    own.app._busy["192.168.7.31"] = AT_ONCE
    assert (await own.client.post(HERE, content=FINE)).status_code == 503
    own.app._busy.clear()
    await asyncio.gather(*(own.client.post(HERE, content=FINE) for _ in range(20)))
    assert own.app._busy.total() == 0


@given(st.binary(max_size=400), st.text(max_size=40), st.text(max_size=40))
def test_any_bytes_are_a_call_or_are_refused(body: bytes, kind: str, action: str) -> None:
    try:
        soap.call_of(body, kind, action)
    except (Unreadable, Fault):
        pass


_PIECES = st.sampled_from(
    [
        *("<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'>", "</s:Envelope>", "<s:Body>", "</s:Body>"),
        *(
            f"<u:Browse xmlns:u='{CDS}'>",
            "</u:Browse>",
            "<ObjectID>",
            "</ObjectID>",
            "<![CDATA[",
            "]]>",
            "&#0;",
            "&#x41;",
        ),
        *(
            "<!DOCTYPE a>",
            "<!ENTITY b 'c'>",
            "&b;",
            "<?x y?>",
            "<!--",
            "-->",
            "0",
            "\ud83d\ude00",
            "\0",
            "'",
            '"',
            "xmlns=''",
        ),
    ]
)


@given(st.lists(_PIECES, max_size=30).map("".join))
def test_pieces_of_soap_in_any_order_are_a_call_or_are_refused(text: str) -> None:
    try:
        call = soap.call_of(text.encode("utf-8", "surrogatepass"), "text/xml", "")
    except (Unreadable, Fault):
        return
    assert len(call.arguments) < 200


def _refusal(read: Callable[[str], object], text: str) -> int | None:
    """Return the number of the fault that reading ends in, if any."""
    try:
        read(text)
    except Fault as fault:
        return fault.number
    return None


@given(st.text(max_size=300))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_search_and_any_order_is_read_or_refused(text: str) -> None:
    for read, number in ((search_of, 708), (sorts_of, 709)):
        assert _refusal(read, text) in (None, number)


_WORDS = st.sampled_from(
    [
        "dc:title",
        "upnp:class",
        "@refID",
        "(",
        ")",
        "and",
        "or",
        "=",
        "contains",
        "derivedfrom",
        "exists",
        "true",
        '"x"',
        '"\\""',
    ]
)


@given(st.lists(_WORDS, max_size=40).map(" ".join))
def test_words_of_searches_in_any_order_are_read_or_refused(text: str) -> None:
    assert _refusal(search_of, text) in (None, 708)


async def test_no_request_is_a_bug(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    """Arguments as strange as can be, to every action of every service."""
    strange = [
        "",
        "0",
        "all",
        "\u202e",
        "%00",
        "$",
        "all$",
        "$$",
        "rule-%2e%2e",
        "a" * 301,
        "-1",
        "1e9",
        "' OR 1=1 --",
        "*",
    ]
    with caplog.at_level(logging.ERROR):
        for value in strange:
            for service, action, names in (
                ("ContentDirectory", "Browse", ("ObjectID", "Filter")),
                ("ContentDirectory", "Search", ("ContainerID", "SearchCriteria", "Filter", "SortCriteria")),
                ("ConnectionManager", "GetCurrentConnectionInfo", ("ConnectionID",)),
                ("MediaReceiverRegistrar", "IsAuthorized", ("DeviceID",)),
            ):
                given_now = dict.fromkeys(names, value)
                if action == "Browse":
                    given_now["BrowseFlag"] = "BrowseDirectChildren"
                answer = await box.ask(service, action, **given_now)
                assert answer.status_code == 200 or "<errorCode>" in answer.text
    assert not caplog.records
