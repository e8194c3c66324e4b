"""Asking a peer for bytes that only a real copy has (BEP 3): this module is that small client.

It says hello, waits until it may ask, asks for one span of one piece and has it judged. Whoever is at the other end is
taken to be hostile: what it may send is bounded in bytes and in seconds, and nothing it sends raises anything. It
speaks plain TCP and offers no extension, so a peer that insists on encryption stays silent: unknown, not caught.
"""

import asyncio
import ipaddress
import secrets
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from appliance.domain.units import InfoHash

BLOCK = 16 * 1024
"""The most that one request may ask for; peers hang up on more (BEP 3)."""

LARGEST = 4 * 1024 * 1024
"""The longest span that is ever asked for, in bytes."""

SECONDS = 30.0
_CONNECT_SECONDS = 8.0
_GREETING = b"\x13BitTorrent protocol"
_HELLO_BYTES = 68
_CHOKE, _UNCHOKE, _INTERESTED, _BITFIELD, _REQUEST, _PIECE = 0, 1, 2, 5, 6, 7
_AT_ONCE = 16
_SMALL_TALK = 2 * BLOCK
"""Bytes of other messages that are borne with."""
_JUDGED_INLINE = 256 * 1024

Address = tuple[str, int]
"""An IP address (never a name) and a port."""


class Kind(StrEnum):
    """What a challenge came to: the right bytes, wrong bytes, or none."""

    VERIFIED = "verified"
    FAILED = "failed"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Answer:
    """``received`` and ``sent`` are bytes on the wire above TCP; ``why`` is a few words for the log."""

    kind: Kind
    received: int = 0
    sent: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """``length`` bytes from ``begin`` of ``piece``, in a torrent of ``pieces``; ``right`` judges what comes.

    Where that is long it does so in a thread.
    """

    pieces: int
    piece: int
    begin: int
    length: int
    right: Callable[[bytes], bool]

    @property
    def cost(self) -> int:
        """The most bytes that asking it may receive."""
        field = _field_bytes(self.pieces) + 5
        span = self.length + 13 * -(-self.length // BLOCK)
        return _HELLO_BYTES + field + span + _SMALL_TALK + max(field, BLOCK + 13)


class _Silence(Exception):
    """The peer does not, or no longer, talk as it should."""


async def challenge_peer(
    address: Address,
    info_hash: InfoHash,
    question: Question,
    *,
    may_call: Callable[[str], bool],
    seconds: float = SECONDS,
    bound_to: tuple[str, ...] = (),
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Answer:
    """Ask one peer and say what came of it, within ``seconds``. Never raises but for cancellation.

    ``may_call`` is asked about the IP address before a packet leaves. ``bound_to`` are the addresses or interfaces that
    peers may be called from (empty: any).
    """
    if not 0 < question.length <= LARGEST or not 0 <= question.piece < question.pieces:
        return Answer(Kind.SILENT, why="not a question")
    if not _is_address(address) or not may_call(address[0]):
        return Answer(Kind.SILENT, why="not an address that we call")
    talk: _Talk | None = None
    try:
        async with asyncio.timeout(seconds):
            talk = await _called(address, bound_to)
            data = await talk.ask(info_hash, question, random_bytes)
            right = await _judged(question, data)
    except (_Silence, TimeoutError, OSError, asyncio.IncompleteReadError) as trouble:
        why = str(trouble) or type(trouble).__name__
        return _told(talk, Kind.SILENT, why)
    finally:
        if talk is not None:
            talk.close()
    return _told(talk, Kind.VERIFIED if right else Kind.FAILED, "" if right else "other bytes")


def _told(talk: "_Talk | None", kind: Kind, why: str) -> Answer:
    return Answer(kind, 0 if talk is None else talk.received, 0 if talk is None else talk.sent, why[:200])


async def _judged(question: Question, data: bytes) -> bool:
    if len(data) <= _JUDGED_INLINE:
        return question.right(data)
    return await asyncio.to_thread(question.right, data)


def _is_address(address: Address) -> bool:
    host, port = address
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host and 0 < port < 65536


def _field_bytes(pieces: int) -> int:
    return -(-pieces // 8)


async def _called(address: Address, bound_to: tuple[str, ...]) -> "_Talk":
    async with asyncio.timeout(_CONNECT_SECONDS):
        wire = _socket(address[0], bound_to)
        try:
            await asyncio.get_running_loop().sock_connect(wire, address)
            reader, writer = await asyncio.open_connection(sock=wire, limit=2 * BLOCK)
        except BaseException:
            wire.close()
            raise
    return _Talk(reader, writer)


def _socket(host: str, bound_to: tuple[str, ...]) -> socket.socket:
    """Return a socket for a call to ``host``. Raises OSError where none of the interfaces leads there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    wire = socket.socket(family, socket.SOCK_STREAM)
    wire.setblocking(False)
    try:
        if bound_to and not any(_bind(wire, family, name) for name in bound_to):
            raise OSError("none of our interfaces may call this address")
    except BaseException:
        wire.close()
        raise
    return wire


def _bind(wire: socket.socket, family: int, name: str) -> bool:
    try:
        ours = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
        return True
    if (ours.version == 6) != (family == socket.AF_INET6):
        return False
    if not ours.is_unspecified:
        wire.bind((str(ours), 0))
    return True


class _Talk:
    """One connection, and what crossed it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.received = self.sent = 0
        self._small_talk = 0
        self._choked, self._listed = True, False

    def close(self) -> None:
        self._writer.transport.abort()

    async def ask(self, info_hash: InfoHash, question: Question, random_bytes: Callable[[int], bytes]) -> bytes:
        """Return the bytes asked for, whatever they are. Raises _Silence, OSError, IncompleteReadError."""
        await self._greet(bytes.fromhex(info_hash), b"-SK0001-" + random_bytes(12))
        await self._until_it_has(question)
        await self._say(_INTERESTED)
        while self._choked:
            await self._hear(question.pieces)
        return await self._take_span(question)

    async def _greet(self, info_hash: bytes, name: bytes) -> None:
        await self._send(_GREETING + bytes(8) + info_hash + name)
        hello = await self._take(_HELLO_BYTES)
        if hello[:20] != _GREETING:
            raise _Silence("it speaks another protocol, or only in cipher")
        if hello[28:48] != info_hash:
            raise _Silence("it is another torrent's peer")

    async def _until_it_has(self, question: Question) -> None:
        """Wait for its list of pieces, which comes first or, where it has none, never. A whole copy claims all."""
        kind, body = await self._hear(question.pieces)
        while kind != _BITFIELD:
            kind, body = await self._hear(question.pieces)
        if len(body) != _field_bytes(question.pieces):
            raise _Silence("its list of pieces has the wrong length")
        if sum(byte.bit_count() for byte in body) < question.pieces:
            raise _Silence("it has only a part")

    async def _take_span(self, question: Question) -> bytes:
        ends = question.begin + question.length
        wanted = {at: min(BLOCK, ends - at) for at in range(question.begin, ends, BLOCK)}
        asked: dict[int, int] = {}
        found: dict[int, bytes] = {}
        while len(found) < -(-question.length // BLOCK):
            while wanted and len(asked) < _AT_ONCE:
                at = next(iter(wanted))
                asked[at] = wanted.pop(at)
                await self._say(_REQUEST, struct.pack(">III", question.piece, at, asked[at]))
            kind, body = await self._hear(question.pieces, answers=True)
            if kind == _CHOKE:
                raise _Silence("it choked us")
            if kind != _PIECE:
                continue
            piece, at = struct.unpack(">II", body[:8]) if len(body) > 8 else (-1, -1)
            if piece == question.piece and asked.get(at) == len(body) - 8:
                found[at] = body[8:]
                del asked[at]
            else:
                self._bear(len(body) + 5)
        return b"".join(found[at] for at in sorted(found))

    async def _hear(self, pieces: int, *, answers: bool = False) -> tuple[int, bytes]:
        """Return the next message's kind (-1 for a keep-alive) and body. Raises _Silence for too much of anything."""
        (length,) = struct.unpack(">I", await self._take(4))
        if length > max(_field_bytes(pieces) + 1, BLOCK + 9):
            raise _Silence("its messages are too long")
        message = await self._take(length)
        kind = message[0] if message else -1
        if kind in (_CHOKE, _UNCHOKE):
            self._choked = kind == _CHOKE
        if not (answers and kind == _PIECE) and (kind != _BITFIELD or self._listed):
            self._bear(length + 4)
        self._listed |= kind == _BITFIELD
        return kind, message[1:]

    def _bear(self, count: int) -> None:
        self._small_talk += count
        if self._small_talk > _SMALL_TALK:
            raise _Silence("it talks too much")

    async def _take(self, count: int) -> bytes:
        data = await self._reader.readexactly(count)
        self.received += count
        return data

    async def _say(self, kind: int, body: bytes = b"") -> None:
        await self._send(struct.pack(">IB", len(body) + 1, kind) + body)

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        self.sent += len(data)
        await self._writer.drain()
