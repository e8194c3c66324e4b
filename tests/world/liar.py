"""A BitTorrent peer that claims to have everything and sends other bytes (BEP 3): this module is that liar."""

import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_PROTOCOL = b"\x13BitTorrent protocol"
_UNCHOKE, _BITFIELD, _REQUEST, _PIECE = 1, 5, 6, 7
_PATIENCE_SECONDS = 20.0
_AGAIN_SECONDS = 0.1


class Liar:
    """Calls a peer from ``source`` and answers every request of it with zeros. ``told`` counts the lies.

    It calls again whenever the other side hangs up, as that does until it has the torrent. Its address is not the
    called peer's own: libtorrent hangs up on itself.
    """

    def __init__(
        self, info_hash: bytes, pieces: int, address: tuple[str, int], source: tuple[str, int] = ("127.0.0.3", 0)
    ) -> None:
        self._info_hash, self._pieces = info_hash, pieces
        self._address, self._source, self._done = address, source, threading.Event()
        self._wire = socket.create_connection(address, _PATIENCE_SECONDS, source)
        self._thread = threading.Thread(target=self._run, name="liar", daemon=True)
        self.told = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        with suppress(OSError):
            self._wire.shutdown(socket.SHUT_RDWR)
        self._thread.join(_PATIENCE_SECONDS)
        self._wire.close()

    def _run(self) -> None:
        self._talk()
        while not self._done.wait(_AGAIN_SECONDS):
            with suppress(OSError):
                self._wire.close()
                self._wire = socket.create_connection(self._address, _PATIENCE_SECONDS, self._source)
                self._talk()

    def _talk(self) -> None:
        try:
            self._wire.sendall(_PROTOCOL + bytes(8) + self._info_hash + b"-LI0001-abcdefghijkl")
            self._take(68)
            field = bytearray(-(-self._pieces // 8))
            for piece in range(self._pieces):
                field[piece // 8] |= 0x80 >> piece % 8
            self._say(_BITFIELD, bytes(field))
            self._say(_UNCHOKE)
            while True:
                (length,) = struct.unpack(">I", self._take(4))
                body = self._take(length)
                if body[:1] == bytes([_REQUEST]):
                    piece, begin, count = struct.unpack(">III", body[1:13])
                    self._say(_PIECE, struct.pack(">II", piece, begin) + bytes(count))
                    self.told += 1
        except OSError:
            return

    def _say(self, kind: int, body: bytes = b"") -> None:
        self._wire.sendall(struct.pack(">IB", len(body) + 1, kind) + body)

    def _take(self, count: int) -> bytes:
        got = b""
        while len(got) < count:
            part = self._wire.recv(count - len(got))
            if not part:
                raise ConnectionError("the other side hung up")
            got += part
        return got
