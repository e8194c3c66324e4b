"""Packets of multicast DNS from others: read as another program reads them, and no bytes do harm."""

import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zeroconf._dns import DNSAddress, DNSPointer, DNSRecord, DNSService, DNSText
from zeroconf._protocol.incoming import DNSIncoming

from appliance.lan.mdns_packets import (
    PTR,
    SRV,
    TXT,
    A,
    Heard,
    Question,
    Record,
    legacy_response,
    packed_name,
    probe,
    read,
    response,
)

HOST = "seedkeep.local."
SERVICE = "Seedkeep (nas)._http._tcp.local."
RECORDS = (
    Record(HOST, A, bytes([10, 77, 0, 1]), 120),
    Record("_http._tcp.local.", PTR, packed_name(SERVICE), 4500, unique=False),
    Record(SERVICE, SRV, struct.pack("!3H", 0, 0, 7333) + packed_name(HOST), 120),
    Record(SERVICE, TXT, b"\x06path=/", 4500),
)


def as_zeroconf_reads(data: bytes) -> list[tuple[str, int, int, bool, object]]:
    """What python-zeroconf finds: name, type, ttl, unique, and what the record says."""

    def said(record: DNSRecord) -> object:
        match record:
            case DNSAddress():
                return record.address
            case DNSPointer():
                return record.alias
            case DNSService():
                return record.port, record.server
            case DNSText():
                return record.text
        return None

    return [(r.name, r.type, int(r.ttl), bool(r.unique), said(r)) for r in DNSIncoming(data).answers()]


def as_we_read(data: bytes) -> list[tuple[str, int, int, bool, object]]:
    heard = read(data)
    assert heard is not None

    def said(record: Record) -> object:
        match record.type:
            case 12:
                return _name(record.data)
            case 33:
                return int.from_bytes(record.data[4:6], "big"), _name(record.data[6:])
        return record.data

    return [(r.name, r.type, r.ttl, r.unique, said(r)) for r in heard.records]


def _name(data: bytes) -> str:
    out = ""
    while size := data[0]:
        out, data = out + data[1 : 1 + size].decode() + ".", data[1 + size :]
    return out


@pytest.mark.parametrize("records", [RECORDS[:n] for n in range(1, 5)])
def test_what_is_said_is_read_as_another_program_reads_it(records: tuple[Record, ...]) -> None:
    data = response(records[:2], records[2:])
    assert as_we_read(data) == as_zeroconf_reads(data)
    heard = read(data)
    assert heard is not None
    assert [r.identity for r in heard.records] == [r.identity for r in records]
    assert (heard.response, heard.probe, heard.truncated, heard.questions) == (True, False, False, ())


def test_a_probe_says_what_it_asks_and_what_would_be_said() -> None:
    heard = read(probe((HOST, SERVICE), RECORDS))
    assert heard is not None
    assert heard.probe
    assert [q.name for q in heard.questions] == [HOST, HOST, HOST, SERVICE]
    assert {r.type for r in heard.records} == {A, SRV, TXT}
    asked = Heard(7, False, False, False, (Question(HOST, A, True),), ())
    answer = read(legacy_response(asked, RECORDS[:1], ()))
    assert answer is not None
    assert (answer.ident, answer.questions) == (7, (Question(HOST, A, True),))


ATTACKS = {
    "a name that points at itself": b"\0" * 4 + b"\0\1" + b"\0" * 6 + b"\xc0\x0c\0\1\0\1",
    "names that point at each other": b"\0" * 4 + b"\0\1" + b"\0" * 6 + b"\xc0\x0e\xc0\x0c\0\1\0\1",
    "a pointer ahead": b"\0" * 4 + b"\0\1" + b"\0" * 6 + b"\xc0\x20" + b"\0" * 40,
    "a label of a kind to come": b"\0" * 4 + b"\0\1" + b"\0" * 6 + b"\x41a\0\0\1\0\1",
    "more records than there are": b"\0\0\x84\0\0\0\xff\xff\0\0\0\0",
    "data past the end": b"\0\0\x84\0\0\0\0\1\0\0\0\0\1a\0\0\1\0\1\0\0\0\1\xff\xff\1\2",
    "an address in a name's place": b"\0\0\x84\0\0\0\0\1\0\0\0\0\1a\0\0\x0c\0\1\0\0\0\1\0\4\1\2\3\4",
    "another operation": b"\0\0\x28\0" + b"\0" * 8,
    "half a head": b"\0" * 11,
}


@pytest.mark.parametrize("data", ATTACKS.values(), ids=ATTACKS)
def test_what_is_no_packet_is_none(data: bytes) -> None:
    assert read(data) is None


def test_an_address_of_a_wrong_length_is_passed_over() -> None:
    data = response([Record(HOST, A, b"\1\2\3", 120), RECORDS[0]])
    heard = read(data)
    assert heard is not None
    assert [r.data for r in heard.records] == [RECORDS[0].data]


def test_names_that_point_backwards_over_and_over_cost_little() -> None:
    labels = b"".join(b"\x3f" + bytes([97 + n]) * 63 for n in range(3)) + b"\0"
    many = (9000 - 12 - len(labels) - 10) // 12
    head = struct.pack("!6H", 0, 0x8400, 0, many + 1, 0, 0)
    record = struct.pack("!2HIH", A, 1, 1, 0)
    began = time.thread_time()
    assert read(head + labels + record + (b"\xc0\x0c" + record) * many) is None
    assert time.thread_time() - began < 0.05


@given(st.binary(max_size=200), st.integers(0, 300), st.integers(0, 300), st.booleans())
def test_no_bytes_raise(noise: bytes, at: int, to: int, is_probe: bool) -> None:
    honest = probe((HOST, SERVICE), RECORDS) if is_probe else response(RECORDS)
    for data in (noise, honest[:at] + noise + honest[to:], honest[:at]):
        heard = read(data)
        assert heard is None or all(r.name.endswith(".") for r in heard.records)
