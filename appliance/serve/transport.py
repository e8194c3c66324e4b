"""What the beginning of an MPEG transport stream says of itself: this module reads it. Pure, for hostile bytes.

Its codecs (RFC 6381), and the time that its pictures begin at, which captions beside it are shifted by.
"""

from collections.abc import Callable

_PACKET = 188
_H264, _AAC, _AC3, _EAC3, _MP3 = 0x1B, 0x0F, 0x81, 0x87, (0x03, 0x04)


def codecs_of_ts(head: bytes) -> str:
    """Return the codecs of an MPEG-TS beginning, comma-separated; empty where one is not (yet) to be seen."""
    payloads = _Payloads(head)
    streams = _programme(payloads)
    out: dict[str, None] = {}
    for pid, kind in streams:
        said = _elementary(kind, b"".join(payloads.of(pid)))
        if not said:
            return ""
        out[said] = None
    return ",".join(out)


def first_pts(head: bytes) -> int | None:
    """Return the first presentation time of the first stream in 90 kHz ticks, None where it is not to be seen.

    (ISO/IEC 13818-1 §2.4.3.6.) What comes first in the file need not be shown first: the smallest of it counts.
    """
    payloads = _Payloads(head)
    streams = _programme(payloads)
    found = [t for pid, _ in streams[:1] for t in map(_presented, payloads.of(pid)) if t is not None]
    return min(found, default=None)


def _programme(payloads: "_Payloads") -> tuple[tuple[int, int], ...]:
    tables = next((t for t in map(_program, payloads.of(0)) if t is not None), None)
    return next((s for s in map(_streams, payloads.of(tables)) if s), ()) if tables is not None else ()


def _presented(payload: bytes) -> int | None:
    """The presentation time in a packet that begins a PES packet of pictures or sound."""
    if len(payload) < 14 or not payload.startswith(b"\0\0\1") or payload[3] < 0xC0 or not payload[7] & 0x80:
        return None
    return (
        (payload[9] >> 1 & 7) << 30 | payload[10] << 22 | payload[11] >> 1 << 15 | payload[12] << 7 | payload[13] >> 1
    )


class _Payloads:
    """An MPEG-TS beginning, its packets' payloads by PID (ISO/IEC 13818-1 §2.4.3)."""

    def __init__(self, head: bytes) -> None:
        self._by_pid: dict[int, list[bytes]] = {}
        for at in range(0, len(head) - _PACKET + 1, _PACKET):
            packet = head[at : at + _PACKET]
            if packet[0] != 0x47:
                return
            start = 4 if not packet[3] & 0x20 else 5 + packet[4]
            if packet[3] & 0x10 and start < _PACKET:
                pid = (packet[1] & 31) << 8 | packet[2]
                self._by_pid.setdefault(pid, []).append(packet[start:])

    def of(self, pid: int) -> list[bytes]:
        return self._by_pid.get(pid, [])


def _section(payload: bytes, table: int) -> bytes:
    """The body of a table's section that lies in one packet, after its eight bytes of head, without its checksum."""
    begin = 1 + payload[0]
    section = payload[begin:]
    if len(section) < 8 or section[0] != table:
        return b""
    length = (section[1] & 15) << 8 | section[2]
    return section[8 : 3 + length - 4]


def _program(payload: bytes) -> int | None:
    """The PID of the first program's table."""
    body = _section(payload, 0)
    for at in range(0, len(body) - 3, 4):
        if body[at : at + 2] != b"\0\0":
            return (body[at + 2] & 31) << 8 | body[at + 3]
    return None


def _streams(payload: bytes) -> tuple[tuple[int, int], ...]:
    """(PID, stream type) of a program, pictures first as the table has them."""
    body = _section(payload, 2)
    if len(body) < 4:
        return ()
    at, out = 4 + ((body[2] & 15) << 8 | body[3]), []
    while at + 5 <= len(body):
        out.append(((body[at + 1] & 31) << 8 | body[at + 2], body[at]))
        at += 5 + ((body[at + 3] & 15) << 8 | body[at + 4])
    return tuple(out)


def _h264(stream: bytes) -> str:
    """Profile, constraints and level from the first sequence parameter set."""
    at = stream.find(b"\0\0\1")
    while 0 <= at < len(stream) - 7:
        if stream[at + 3] & 31 == 7:
            return f"avc1.{stream[at + 4 : at + 7].hex()}"
        at = stream.find(b"\0\0\1", at + 3)
    return ""


def _adts(stream: bytes) -> str:
    """The profile of the first ADTS frame, which follows the PES head (ISO/IEC 13818-7 §6.2)."""
    begin = 9 + stream[8] if len(stream) > 9 and stream.startswith(b"\0\0\1") else 0
    head = stream[begin : begin + 3]
    if len(head) == 3 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return f"mp4a.40.{(head[2] >> 6) + 1}"
    return ""


_SEEN: dict[int, Callable[[bytes], str]] = {_H264: _h264, _AAC: _adts}
_NAMED = {_AC3: "ac-3", _EAC3: "ec-3", **dict.fromkeys(_MP3, "mp4a.40.34")}


def _elementary(kind: int, stream: bytes) -> str:
    """One stream's codec, by its type in the program's table; HEVC in TS is left unnamed: players want it in fMP4."""
    return _SEEN[kind](stream) if kind in _SEEN else _NAMED.get(kind, "")
