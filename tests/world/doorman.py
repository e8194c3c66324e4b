"""Peers that are called and behave as a test has them (BEP 3): this module listens on loopback and follows a script."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

HELLO = b"\x13BitTorrent protocol" + bytes(8)
NAME = b"-XX0001-abcdefghijkl"
CHOKE, UNCHOKE, BITFIELD, REQUEST, PIECE = 0, 1, 5, 6, 7

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def message(kind: int, body: bytes = b"") -> bytes:
    """Return one message as it goes over the wire."""
    return struct.pack(">IB", len(body) + 1, kind) + body


def everything(pieces: int) -> bytes:
    """Return the list of pieces of a peer that claims them all."""
    field = bytearray(-(-pieces // 8))
    for piece in range(pieces):
        field[piece // 8] |= 0x80 >> piece % 8
    return message(BITFIELD, bytes(field))


async def next_message(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    (length,) = struct.unpack(">I", await reader.readexactly(4))
    body = await reader.readexactly(length)
    return (body[0], body[1:]) if body else (-1, b"")


def answering(info_hash: str, pieces: int, block: Callable[[int, int, int], bytes]) -> Script:
    """Return a peer that claims everything and sends ``block(piece, begin, length)`` for each request."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(68)
        writer.write(HELLO + bytes.fromhex(info_hash) + NAME + everything(pieces) + message(UNCHOKE))
        while True:
            kind, body = await next_message(reader)
            if kind == REQUEST:
                piece, begin, length = struct.unpack(">III", body)
                writer.write(message(PIECE, struct.pack(">II", piece, begin) + block(piece, begin, length)))

    return script


def saying(*parts: bytes, pause: float = 0.0) -> Script:
    """Return a peer that says these bytes, whatever it is told, and then listens until it is hung up on."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        while await reader.read(65536):
            pass

    return script


@asynccontextmanager
async def at_the_door(script: Script, host: str = "127.0.0.1") -> AsyncIterator[tuple[str, int]]:
    """Run a scripted peer and give its address."""
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            await script(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            talks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(talk, host, 0)
    try:
        yield server.sockets[0].getsockname()[:2]
    finally:
        server.close()
        for task in list(talks):
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
