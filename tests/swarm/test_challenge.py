"""Challenges over the wire: real seeds, liars, and peers that do everything but answer."""

import asyncio
import hashlib
import json
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import libtorrent as lt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.swarm.challenge import BLOCK, Answer, Kind, Question, challenge_peer
from appliance.swarm.peering import _sources
from appliance.swarm.port import PeerSource
from appliance.swarm.session import LibtorrentSwarm
from tests.swarm.torrents import KIB, Content, Heard, noise, quiet, spoil
from tests.world import peers
from tests.world.bodies import bencode
from tests.world.doorman import (
    CHOKE,
    HELLO,
    NAME,
    PIECE,
    UNCHOKE,
    Script,
    answering,
    at_the_door,
    everything,
    message,
    saying,
)
from tests.world.http import Reply, Request, Server
from tests.world.lab import Lab
from tests.world.peers import Peer

FILM = Content.of({"film.mp4": noise(700 * KIB + 5)}, piece=64 * KIB)
HASH, PIECES = FILM.meta.info_hash, FILM.meta.pieces
GREETING = HELLO + bytes.fromhex(HASH) + NAME


def block(piece: int = 3, begin: int = BLOCK, length: int = BLOCK) -> Question:
    start = piece * 64 * KIB + begin
    return Question(PIECES, piece, begin, length, lambda data: data == FILM.whole[start : start + length])


def whole_piece(piece: int) -> Question:
    data = FILM.whole[piece * 64 * KIB : (piece + 1) * 64 * KIB]
    digest = hashlib.sha1(data).digest()
    return Question(PIECES, piece, 0, len(data), lambda got: hashlib.sha1(got).digest() == digest)


async def asked(address: tuple[str, int], question: Question | None = None, seconds: float = 10, **more: Any) -> Answer:
    may = {"may_call": lambda _: True, **more}
    return await challenge_peer(address, HASH, question or block(), seconds=seconds, **may)


async def told(script: Script, question: Question | None = None, seconds: float = 10) -> Answer:
    async with at_the_door(script) as address:
        return await asked(address, question, seconds)


def true_bytes(piece: int, begin: int, length: int) -> bytes:
    return FILM.whole[piece * 64 * KIB + begin :][:length]


class Seed:
    """A plain libtorrent seed of the film, in a session of its own."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.session = peers.session(**settings)
        peers.add(self.session, FILM.meta.raw, FILM.written(folder), names=["film.mp4"], seeding=True)
        peers.await_checked(self.session)
        self.address = ("127.0.0.1", self.session.listen_port())

    async def close(self) -> None:
        for handle in self.session.get_torrents():
            self.session.remove_torrent(handle)
        last = [self.session]
        del self.session
        await asyncio.to_thread(last.clear)


@pytest.mark.parametrize("question", [block(), block(9, 60 * KIB, 2 * KIB), whole_piece(2), whole_piece(PIECES - 1)])
async def test_an_honest_seed_is_verified(tmp_path: Path, question: Question) -> None:
    seed = await asyncio.to_thread(Seed, tmp_path)
    try:
        answer = await asked(seed.address, question)
        assert (answer.kind, answer.why) == (Kind.VERIFIED, "")
        assert question.length < answer.received <= question.cost
        assert answer.sent < 400
    finally:
        await seed.close()


async def test_a_challenge_catches_a_peer_that_claims_all_pieces_and_sends_junk() -> None:
    answer = await told(answering(HASH, PIECES, lambda piece, begin, length: bytes(length)))
    assert answer.kind is Kind.FAILED
    answer = await told(answering(HASH, PIECES, lambda piece, begin, length: bytes(length)), whole_piece(1))
    assert answer.kind is Kind.FAILED


async def test_a_seed_that_only_talks_in_cipher_is_silent_not_caught(tmp_path: Path) -> None:
    forced = {"in_enc_policy": 0, "out_enc_policy": 0}
    seed = await asyncio.to_thread(lambda: Seed(tmp_path, **forced))
    try:
        assert (await asked(seed.address)).kind is Kind.SILENT
    finally:
        await seed.close()


async def test_a_seed_without_a_free_slot_is_silent(tmp_path: Path) -> None:
    assert (await told(saying(GREETING + everything(PIECES)), seconds=0.5)).kind is Kind.SILENT
    choking = GREETING + everything(PIECES) + message(UNCHOKE)
    answer = await told(saying(choking, message(CHOKE), pause=0.05))
    assert (answer.kind, answer.why) == (Kind.SILENT, "it choked us")


async def test_who_has_only_a_part_is_no_whole_copy_and_says_so() -> None:
    field = message(5, b"\x80" + bytes(-(-PIECES // 8) - 1))
    answer = await told(saying(GREETING + field + message(UNCHOKE)))
    assert (answer.kind, answer.why) == (Kind.SILENT, "it has only a part")


async def test_a_peer_that_drips_does_not_hold_us() -> None:
    began = time.monotonic()
    drip = saying(*(bytes([b]) for b in GREETING), pause=0.1)
    assert (await told(drip, seconds=0.4)).kind is Kind.SILENT
    assert time.monotonic() - began < 3


async def test_nobody_there_and_hanging_up_are_silent() -> None:
    async with at_the_door(saying()) as address:
        pass
    assert (await asked(address)).kind is Kind.SILENT

    async def slams(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    assert (await told(slams)).kind is Kind.SILENT


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(68),
        HELLO + bytes(20) + NAME,
        GREETING + struct.pack(">I", 1 << 31),
        GREETING + message(5, b"\xff"),
        GREETING + message(5, b"\xff" * 500),
        GREETING + bytes(4) * 20_000,
        GREETING + everything(PIECES) * 20_000,
        GREETING + everything(PIECES) + message(UNCHOKE) + message(20, bytes(1000)) * 200,
        GREETING + everything(PIECES) + message(UNCHOKE) + message(PIECE, struct.pack(">II", 9, 9) + bytes(BLOCK)) * 9,
        GREETING + everything(PIECES) + message(UNCHOKE) + message(PIECE, b"\x00") * 20_000,
    ],
)
async def test_what_talks_otherwise_is_silent_soon_and_costs_what_was_said(said: bytes) -> None:
    question = block()
    answer = await told(saying(said), question, seconds=5)
    assert answer.kind is Kind.SILENT
    assert answer.received <= question.cost


async def test_no_packet_leaves_for_an_address_that_may_not_be_called() -> None:
    async with at_the_door(answering(HASH, PIECES, true_bytes)) as address:
        calls: list[str] = []

        def never(host: str) -> bool:
            calls.append(host)
            return False

        refused = await asked(address, may_call=never)
        assert (refused.kind, refused.sent, calls) == (Kind.SILENT, 0, ["127.0.0.1"])
        for wrong in (("localhost", address[1]), ("127.0.0.1", 0), ("127.0.0.1", 70_000), ("fe80::1%lo", 80)):
            assert (await asked(wrong)).sent == 0


async def test_calls_leave_from_the_owners_interfaces_only() -> None:
    called_from: list[str] = []
    inner = answering(HASH, PIECES, true_bytes)

    async def notes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called_from.append(writer.get_extra_info("peername")[0])
        await inner(reader, writer)

    async with at_the_door(notes) as address:
        assert (await asked(address, bound_to=("127.0.0.9",))).kind is Kind.VERIFIED
        assert (await asked(address, bound_to=("::1",))).kind is Kind.SILENT
        assert (await asked(address, bound_to=("no-such-tun0",))).kind is Kind.SILENT
    assert called_from == ["127.0.0.9"]


async def test_a_senseless_question_is_not_put() -> None:
    for question in (block(length=0), replace(block(), length=1 << 30), replace(block(), piece=PIECES)):
        assert (await asked(("127.0.0.1", 9), question)).why == "not a question"


WORDS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([GREETING, everything(PIECES), message(UNCHOKE), message(CHOKE), bytes(4), HELLO]),
    st.builds(message, st.integers(0, 255), st.binary(max_size=60)),
    st.builds(
        lambda piece, begin, data: message(PIECE, struct.pack(">II", piece, begin) + data),
        st.integers(0, PIECES),
        st.sampled_from([0, BLOCK, 7]),
        st.sampled_from([b"", bytes(BLOCK), bytes(BLOCK + 1), bytes(5)]),
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(WORDS, max_size=8), polite=st.booleans())
async def test_whatever_is_said_the_answer_is_an_answer(parts: list[bytes], polite: bool) -> None:
    start = [GREETING, everything(PIECES), message(UNCHOKE)] if polite else []

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join([*start, *parts]))
        await writer.drain()
        writer.write_eof()

    question = block()
    answer = await told(script, question, seconds=2)
    assert answer.kind in (Kind.SILENT, Kind.FAILED)
    assert answer.received <= question.cost


# What the session knows


@pytest.mark.parametrize("held", [False, True])
async def test_a_session_names_the_peers_to_call_and_what_to_ask_them(tmp_path: Path, held: bool) -> None:
    """Two seeds hang up on one another at once, and are remembered."""
    seed = await asyncio.to_thread(Seed, tmp_path / "seed")
    tracker = Tracker(seed.address)
    try:
        async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm:
            if held:
                FILM.written(tmp_path / "media")
            heard = Heard(swarm)
            await swarm.add(FILM.spec(tmp_path / "media", trackers=(tracker.url,)))
            await swarm.start(HASH)
            if not held:
                await heard.whole(FILM)
            await until(lambda: (status := swarm.status(HASH)) is not None and status.whole_peers == 1)
            (seen,) = await swarm.peers(HASH)
            assert (seen.address, seen.whole) == (seed.address, True)
            sample = await swarm.sample(HASH, lambda: 0.5)
            assert sample is not None
            data = sample.data
            assert data == true_bytes(sample.piece, sample.begin, sample.length)
            assert data == FILM.whole[sample.offset :][: sample.length]
            assert sample.file == "film.mp4"
            question = Question(sample.pieces, sample.piece, sample.begin, sample.length, lambda got: got == data)
            assert (await asked(seed.address, question)).kind is Kind.VERIFIED
            await until(lambda: (status := swarm.status(HASH)) is not None and status.complete == 7)
            tracker.broken = True
            swarm._held[HASH].handle.force_reannounce(0, -1, lt.reannounce_flags_t.ignore_min_interval)
            await until(lambda: (status := swarm.status(HASH)) is not None and status.complete is None)
    finally:
        tracker.close()
        await seed.close()


async def test_a_liar_in_a_real_swarm_is_caught_by_asking_whom_the_session_met(tmp_path: Path) -> None:
    """libtorrent takes its word for it: both look like seeds, and only the bytes tell them apart."""
    seed = await asyncio.to_thread(Seed, tmp_path / "seed")
    async with at_the_door(answering(HASH, PIECES, lambda piece, begin, length: bytes(length)), "127.0.0.12") as liar:
        tracker = Tracker(seed.address, liar)
        try:
            async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm:
                await swarm.add(FILM.spec(FILM.written(tmp_path / "media"), trackers=(tracker.url,)))
                await swarm.start(HASH)
                await until(lambda: (status := swarm.status(HASH)) is not None and status.whole_peers == 2)
                met = await swarm.peers(HASH)
                assert {(p.address, p.whole) for p in met} == {(seed.address, True), (liar, True)}
                found = {p.address: (await asked(p.address)).kind for p in met}
                assert found == {seed.address: Kind.VERIFIED, liar: Kind.FAILED}
        finally:
            tracker.close()
            await seed.close()


@pytest.mark.net
def test_a_liar_on_a_host_of_its_own_is_caught_and_an_honest_seed_is_verified(lab: Lab, tmp_path: Path) -> None:
    """Four hosts, each with a process of its own: a tracker, ourselves in the house, a seed and a liar out there."""
    torrent = tmp_path / "film.torrent"
    torrent.write_bytes(FILM.meta.raw)
    box, seed_host = lab.host("box", "10.77.0.2"), lab.host("seed", "10.78.0.2")
    liar_host, tracker_host = lab.host("liar", "10.78.0.3"), lab.host("tracker", "10.78.0.1")
    options = ("--host", seed_host.address, "--name", "film.mp4")
    with Peer.begin("seed", torrent, FILM.written(tmp_path / "seed"), *options, spawn=seed_host.python) as seed:
        told = ("-m", "tests.swarm.pretender", HASH, str(PIECES), liar_host.address)
        liar = liar_host.python(*told, stdout=subprocess.PIPE)
        assert liar.stdout
        named = ((seed_host.address, seed.port), (liar_host.address, int(liar.stdout.readline())))
        with tracker_host.inside():
            tracker = Tracker(*named, host=tracker_host.address)
        try:
            job = {"torrent": str(torrent), "folder": str(FILM.written(tmp_path / "box")), "name": "film.mp4"}
            job |= {"listen": box.address, "tracker": tracker.url}
            said = box.check(sys.executable, "-m", "tests.swarm.asker", json.dumps({**job, "peers": len(named)}))
        finally:
            tracker.close()
    assert json.loads(said) == {"10.78.0.2 claims all": Kind.VERIFIED, "10.78.0.3 claims all": Kind.FAILED}


async def test_we_are_nobody_elses_copy(tmp_path: Path) -> None:
    """A tracker names our own address, as every tracker does; libtorrent calls it and finds itself."""
    async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm:
        tracker = Tracker(("127.0.0.1", await swarm.port()))
        try:
            await swarm.add(FILM.spec(FILM.written(tmp_path / "media"), trackers=(tracker.url,)))
            await swarm.start(HASH)
            await until(lambda: bool(swarm._held[HASH].peers._ours))
            assert await swarm.peers(HASH) == ()
            status = swarm.status(HASH)
            assert status is not None
            assert status.whole_peers == 0
        finally:
            tracker.close()


async def test_our_own_rot_makes_nobody_a_liar(tmp_path: Path) -> None:
    async with LibtorrentSwarm(quiet(tmp_path / "resume")) as swarm:
        folder = FILM.written(tmp_path / "media")
        assert (await swarm.add(FILM.spec(folder))).whole
        spoil(folder / "film.mp4", 70 * KIB)
        assert await swarm.sample(HASH, lambda: 1.5 / PIECES) is None
        assert await swarm.sample(HASH, lambda: 0.0) is not None
        assert await swarm.peers(HASH) == ()


async def until(true: Callable[[], bool], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - the session tells nobody
            await asyncio.sleep(0.05)


class Tracker:
    """Says that there are eight whole copies, and names some peers."""

    def __init__(self, *named: tuple[str, int], host: str = "127.0.0.1") -> None:
        self.broken = False
        self._peers = b"".join(socket.inet_aton(host) + struct.pack(">H", port) for host, port in named)
        self._server = Server(self._answer, host, (0,))
        self._server.start()
        self.url = f"http://{host}:{self._server.ports[0]}/announce"

    def _answer(self, _: Request) -> Reply:
        if self.broken:
            return Reply(200, {}, bencode({"failure reason": "no more"}))
        said = {"interval": 600, "min interval": 1, "complete": 8, "incomplete": 0, "peers": self._peers}
        return Reply(200, {}, bencode(said))

    def close(self) -> None:
        self._server.close()


def test_where_a_peer_is_known_from_is_told() -> None:
    found = {mark: _sources(SimpleNamespace(source=mark, tracker=1, dht=2, pex=4, lsd=8)) for mark in (1, 2, 4, 8, 32)}
    assert found == {mark: {source} for mark, source in zip((1, 2, 4, 8, 32), PeerSource, strict=True)}
