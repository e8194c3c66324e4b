"""What a rendition's own bytes say of its codecs (RFC 6381): this module reads them. Pure, for hostile bytes.

Origins' playlists often leave codecs out or name others than are inside, and a strict player then plays nothing.
"""

from collections.abc import Callable, Iterator

ENOUGH = 64 * 1024
"""Bytes of a rendition's beginning that tell its codecs, where it was made by a program in its senses."""

_MOST_BOXES = 1000
_WAY = (b"mdia", b"minf", b"stbl", b"stsd")
_PACKET = 188
_PICTURE_ENTRY, _SOUND_ENTRY = 78, 28
"""Bytes of a VisualSampleEntry and an AudioSampleEntry (version 0) before their boxes (ISO/IEC 14496-12 §12)."""

_H264, _AAC, _AC3, _EAC3, _MP3 = 0x1B, 0x0F, 0x81, 0x87, (0x03, 0x04)


def codecs_of_mp4(head: bytes) -> str:
    """Return the codecs of an MP4's tracks as its initialisation says, comma-separated; empty where one is unknown."""
    moov = next((body for kind, body in _boxes(head) if kind == b"moov"), b"")
    out: dict[str, None] = {}
    for kind, trak in _boxes(moov):
        if kind != b"trak":
            continue
        body: bytes = trak
        for step in _WAY:
            body = next((inner for name, inner in _boxes(body) if name == step), b"")
        for name, entry in _boxes(body[8:]):
            said = _entry(name.decode("latin-1"), entry)
            if not said:
                return ""
            out[said] = None
    return ",".join(out)


def codecs_of_ts(head: bytes) -> str:
    """Return the codecs of an MPEG-TS beginning, comma-separated; empty where one is not (yet) to be seen."""
    payloads = _Payloads(head)
    tables = next((t for t in map(_program, payloads.of(0)) if t is not None), None)
    streams = next((s for s in map(_streams, payloads.of(tables)) if s), ()) if tables is not None else ()
    out: dict[str, None] = {}
    for pid, kind in streams:
        said = _elementary(kind, b"".join(payloads.of(pid)))
        if not said:
            return ""
        out[said] = None
    return ",".join(out)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(type, body) of each whole box; what claims to be longer than there is ends it (ISO/IEC 14496-12 §4.2)."""
    at = 0
    for _ in range(_MOST_BOXES):
        if at + 8 > len(data):
            return
        size, kind, begin = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, begin = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        elif size == 0:
            size = len(data) - at
        if size < begin - at or at + size > len(data):
            return
        yield kind, data[begin : at + size]
        at += size


def _entry(kind: str, entry: bytes) -> str:
    """One sample entry as RFC 6381 names it."""
    inside = dict(_boxes(entry[_PICTURE_ENTRY:]))
    match kind:
        case "avc1" | "avc3":
            return _avc(kind, inside.get(b"avcC", b""))
        case "hvc1" | "hev1":
            return _hevc(kind, inside.get(b"hvcC", b""))
        case "av01":
            return _av1(inside.get(b"av1C", b""))
        case "vp08" | "vp09":
            return _vp9(kind, inside.get(b"vpcC", b""))
        case "mp4a":
            return _esds(dict(_boxes(entry[_SOUND_ENTRY:])).get(b"esds", b""))
        case "Opus" | "fLaC" | "ac-3" | "ec-3":
            return kind
    return ""


def _avc(kind: str, record: bytes) -> str:
    return f"{kind}.{record[1:4].hex()}" if len(record) >= 4 else ""


def _hevc(kind: str, record: bytes) -> str:
    """ISO/IEC 14496-15 annex E.3: profile, compatibility (bits reversed), tier and level, constraints."""
    if len(record) < 13:
        return ""
    space = ("", "A", "B", "C")[record[1] >> 6]
    flags = int(f"{int.from_bytes(record[2:6], 'big'):032b}"[::-1], 2)
    constraints = record[6:12].rstrip(b"\0")
    said = f"{kind}.{space}{record[1] & 31}.{flags:X}.{'H' if record[1] & 32 else 'L'}{record[12]}"
    return "".join([said, *(f".{byte:X}" for byte in constraints)])


def _av1(record: bytes) -> str:
    """AV1 in ISO-BMFF §5: profile, level and tier, bit depth."""
    if len(record) < 3:
        return ""
    high, twelve = record[2] & 0x40, record[2] & 0x20
    depth = 12 if high and twelve else 10 if high else 8
    return f"av01.{record[1] >> 5}.{record[1] & 31:02d}{'H' if record[2] & 0x80 else 'M'}.{depth:02d}"


def _vp9(kind: str, record: bytes) -> str:
    """VP codec ISO-BMFF binding §"Codecs Parameter String"; a full box."""
    return f"{kind}.{record[4]:02d}.{record[5]:02d}.{record[6] >> 4:02d}" if len(record) >= 7 else ""


def _esds(record: bytes) -> str:
    """ISO/IEC 14496-1 §7.2.6: the object type, and of MPEG-4 audio the audio object type."""
    config = _descriptor(record[4:], 0x03)
    if len(config) < 3:
        return ""
    skipped = 3 + (2 if config[2] & 0x80 else 0) + (2 if config[2] & 0x20 else 0)
    if config[2] & 0x40 and len(config) > skipped:
        skipped += 1 + config[skipped]
    decoder = _descriptor(config[skipped:], 0x04)
    if len(decoder) < 13:
        return ""
    if decoder[0] != 0x40:
        return f"mp4a.{decoder[0]:02x}"
    specific = _descriptor(decoder[13:], 0x05)
    return f"mp4a.40.{_audio_object(specific)}" if specific else ""


def _audio_object(specific: bytes) -> int:
    kind = specific[0] >> 3
    return kind if kind != 31 or len(specific) < 2 else 32 + ((specific[0] & 7) << 3 | specific[1] >> 5)


def _descriptor(data: bytes, tag: int) -> bytes:
    """The body of a descriptor with this tag at the beginning of ``data``, empty where there is none."""
    if not data or data[0] != tag:
        return b""
    length, at = 0, 1
    for at in range(1, min(5, len(data))):
        length = length << 7 | data[at] & 127
        if not data[at] & 128:
            break
    return data[at + 1 : at + 1 + length]


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
