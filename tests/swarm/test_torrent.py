"""Hostile ``.torrent`` files."""

import hashlib
from typing import Any

import libtorrent as lt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import BadAnswer
from appliance.swarm.bencode import Malformed, decode_dict
from appliance.swarm.torrent import MAX_TORRENT_BYTES, check_files, check_single, is_private_host, parse_torrent
from tests.swarm.torrents import KIB, Content, info_of, noise
from tests.world import recorded
from tests.world.bodies import bencode

GOOD = info_of({"film.mp4": noise(100 * KIB)}, 16 * KIB, "film.mp4")
RAW = bencode({"info": GOOD, "announce": "https://tube.example/tracker/announce"})


def test_every_recorded_torrent_is_read_as_the_origin_and_libtorrent_read_it() -> None:
    found = recorded.torrents()
    assert len(found) >= 20
    for torrent, media, info_hash in found:
        meta = parse_torrent(torrent.read_bytes(), allow_private=True)
        info = lt.load_torrent_buffer(meta.raw).ti
        assert info is not None
        assert meta.info_hash == info_hash == str(info.info_hashes().v1)
        assert (meta.pieces, meta.piece_length) == (info.num_pieces(), info.piece_length())
        check_single(meta, media.stat().st_size)
        assert [t.partition(":")[0] for t in meta.trackers] == ["http"]
        assert len(meta.web_seeds) == 1


def test_a_rename_changes_the_info_hash_and_not_the_content() -> None:
    data = noise(50 * KIB)
    one, other = Content.of({"one.mp4": data}).meta, Content.of({"other.mp4": data}).meta
    assert one.info_hash != other.info_hash
    assert one.content == other.content
    assert one.content != Content.of({"one.mp4": data}, piece=32 * KIB).meta.content
    assert one.content != Content.of({"one.mp4": noise(50 * KIB, "else")}).meta.content


def changed(**more: Any) -> bytes:
    info = {k: v for k, v in (GOOD | more).items() if v is not None}
    return bencode({"info": info})


HOSTILE = {
    "a name that leads up": changed(name=".."),
    "a name with a path in it": changed(name="../../etc/passwd"),
    "a name with a backslash": changed(name="..\\..\\x"),
    "an empty name": changed(name=""),
    "a name with a control character": changed(name="a\nb"),
    "a name of no text": changed(name=b"\xff\xfe"),
    "a name of 300 bytes": changed(name="x" * 300),
    "no name": changed(name=None),
    "a negative size": changed(length=-1),
    "no bytes at all": changed(length=0),
    "an absurd size": changed(length=1 << 60),
    "no size": changed(length=None),
    "a size and a list": changed(files=[{"length": 5, "path": ["a"]}]),
    "a piece too many": changed(pieces=bytes(GOOD["pieces"]) + bytes(20)),  # type: ignore[call-overload]
    "a piece too few": changed(length=101 * KIB * 16),
    "half a hash": changed(pieces=bytes(30)),
    "no hashes": changed(pieces=b""),
    "a tiny piece": changed(**{"piece length": 1}),
    "a negative piece": changed(**{"piece length": -16384}),
    "a huge piece": changed(**{"piece length": 1 << 31}),
    "a crooked piece": changed(**{"piece length": 16385}),
    "version 2": changed(**{"meta version": 2}),
    "no info": bencode({"announce": "http://tube.example/"}),
    "info that is a list": bencode({"info": [1, 2]}),
    "an HTML page": b"<!DOCTYPE html><html></html>",
    "nothing": b"",
    "half of it": RAW[: len(RAW) // 2],
    "more than it": RAW + b"x",
    "deep nesting": b"d4:info" + b"l" * 5000 + b"e" * 5000 + b"e",
    "a number without end": b"d4:infoi" + b"1" * 1_000_000 + b"ee",
    "a length beyond the end": b"d4:info99999999:x",
    "a key that comes twice": b"d4:infode4:infodee",
    "too large": b"d4:info" + bytes(MAX_TORRENT_BYTES),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_torrent_ends_in_one_plain_sentence(what: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        parse_torrent(HOSTILE[what])
    assert caught.value.message.startswith("The torrent cannot be used: ")
    assert caught.value.message.endswith(".")
    assert len(caught.value.message) < 200
    assert caught.value.hint


def listed(*files: Any) -> bytes:
    size = sum(f.get("length", 0) for f in files if isinstance(f, dict))
    hashes = bytes(20 * -(-size // (16 * KIB)))
    return bencode({"info": {"name": "season", "piece length": 16 * KIB, "pieces": hashes, "files": list(files)}})


@pytest.mark.parametrize(
    "files",
    [
        [],
        ["x"],
        [{"length": 5, "path": []}],
        [{"length": 5, "path": ["..", "x"]}],
        [{"length": 5, "path": ["/etc/x"]}],
        [{"length": 5, "path": ["a"] * 9}],
        [{"length": 0, "path": ["a"]}],
        [{"length": 5, "path": ["a"]}, {"length": 5, "path": ["A"]}],
        [{"length": 5, "path": ["a"]}, {"length": 5, "path": ["a", "b"]}],
        [{"length": 5, "path": ["a"]}, {"length": 16, "path": [".pad", "16"], "attr": "p"}],
        [{"length": 5, "path": ["a"], "attr": "l", "symlink path": ["etc"]}],
    ],
)
def test_a_hostile_list_of_files_is_refused(files: list[Any]) -> None:
    with pytest.raises(BadAnswer):
        parse_torrent(listed(*files))


def test_files_are_held_against_what_was_announced() -> None:
    single = parse_torrent(RAW)
    check_single(single, 100 * KIB)
    with pytest.raises(BadAnswer, match="102401 were announced"):
        check_single(single, 100 * KIB + 1)
    many = parse_torrent(listed({"length": 5, "path": ["v", "a"]}, {"length": 7, "path": ["v", "b"]}))
    check_files(many, {"a": 5, "b": 7})
    with pytest.raises(BadAnswer, match="2 files where one"):
        check_single(many, 12)
    for sizes in ({"a": 5}, {"a": 5, "b": 8}, {"a": 5, "b": 7, "c": 1}, {}):
        with pytest.raises(BadAnswer):
            check_files(many, sizes)


def test_private_and_web_socket_addresses_are_left_out_unless_allowed() -> None:
    trackers = ["wss://tube.example/tracker", "https://tube.example/announce", "http://192.168.1.1/announce"]
    seeds = ["https://tube.example/f.mp4", "http://localhost:80/f.mp4", "ftp://tube.example/f", "http://[::1]/f", "x"]
    raw = bencode({"announce-list": [[t] for t in trackers], "info": GOOD, "url-list": seeds})
    meta = parse_torrent(raw)
    assert meta.trackers == ("https://tube.example/announce",)
    assert meta.web_seeds == ("https://tube.example/f.mp4",)
    allowed = parse_torrent(raw, allow_private=True)
    assert allowed.trackers == tuple(trackers[1:])
    assert allowed.web_seeds == (seeds[0], seeds[1], seeds[3])


def test_private_hosts_are_known_as_such() -> None:
    addresses = ("127.0.0.1", "10.1.2.3", "::ffff:10.0.0.1", "fe80::1%eth0", "0.0.0.0", "169.254.1.1")
    assert all(is_private_host(h) for h in (*addresses, "nas", "nas.local", "LOCALHOST", "box.lan."))


def test_public_hosts_are_not_private() -> None:
    assert not any(is_private_host(h) for h in ("tube.example", "9.9.9.9", "2620:fe::fe"))


@given(at=st.integers(0, len(RAW) - 1), byte=st.integers(0, 255), cut=st.integers(0, 40))
@settings(max_examples=400, deadline=None)
def test_a_torrent_with_wrong_bytes_is_refused_or_still_whole(at: int, byte: int, cut: int) -> None:
    raw = RAW[:at] + bytes([byte]) + RAW[at + 1 + cut :]
    try:
        meta = parse_torrent(raw)
    except BadAnswer:
        return
    assert meta.pieces == -(-meta.size // meta.piece_length)
    assert "/" not in meta.name
    assert meta.name not in {"", ".", ".."}
    assert all(size > 0 for _, size in meta.files)


@given(st.binary(max_size=200))
@settings(max_examples=400, deadline=None)
def test_no_bytes_break_the_decoder(raw: bytes) -> None:
    for data in (raw, b"d4:info" + raw, b"d4:info" + raw + b"ee"):
        try:
            found, spans = decode_dict(data)
        except Malformed:
            continue
        assert found.keys() == spans.keys()


VALUES = st.recursive(
    st.integers(-(10**17), 10**17) | st.binary(max_size=9), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
@settings(deadline=None)
def test_what_was_encoded_is_decoded(value: dict[str, Any]) -> None:
    found, _ = decode_dict(bencode(value))
    assert found == {k.encode(): v for k, v in value.items()}
    assert hashlib.sha1(bencode(found)).digest() == hashlib.sha1(bencode(value)).digest()
