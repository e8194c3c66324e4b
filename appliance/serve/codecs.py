"""What an MP4's own bytes say of its codecs (RFC 6381): this module reads them. Pure, for hostile bytes.

Origins' playlists often leave codecs out or name others than are inside, and a strict player then plays nothing.
"""

from collections.abc import Iterator

ENOUGH = 64 * 1024
"""Bytes of a rendition's beginning that tell its codecs, where it was made by a program in its senses."""

_MOST_BOXES = 1000
_WAY = (b"mdia", b"minf", b"stbl", b"stsd")
_PICTURE_ENTRY, _SOUND_ENTRY = 78, 28
"""Bytes of a VisualSampleEntry and an AudioSampleEntry (version 0) before their boxes (ISO/IEC 14496-12 §12)."""


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
    decoder = _decoder(record)
    if len(decoder) < 13:
        return ""
    if decoder[0] != 0x40:
        return f"mp4a.{decoder[0]:02x}"
    specific = _descriptor(decoder[13:], 0x05)
    return f"mp4a.40.{_audio_object(specific)}" if specific else ""


def _specific(record: bytes) -> bytes:
    """The AudioSpecificConfig of MPEG-4 audio, empty of any other."""
    decoder = _decoder(record)
    return _descriptor(decoder[13:], 0x05) if len(decoder) >= 13 and decoder[0] == 0x40 else b""


def _decoder(record: bytes) -> bytes:
    """The body of the DecoderConfigDescriptor in an ``esds``."""
    config = _descriptor(record[4:], 0x03)
    if len(config) < 3:
        return b""
    skipped = 3 + (2 if config[2] & 0x80 else 0) + (2 if config[2] & 0x20 else 0)
    if config[2] & 0x40 and len(config) > skipped:
        skipped += 1 + config[skipped]
    return _descriptor(config[skipped:], 0x04)


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


def channels_of_mp4(head: bytes) -> int:
    """Return the most channels that an MP4's AAC tracks have, 0 where none says (ISO/IEC 14496-3 §1.6.2.1)."""
    moov = next((body for kind, body in _boxes(head) if kind == b"moov"), b"")
    most = 0
    for kind, trak in _boxes(moov):
        if kind != b"trak":
            continue
        body: bytes = trak
        for step in _WAY:
            body = next((inner for name, inner in _boxes(body) if name == step), b"")
        for name, entry in _boxes(body[8:]):
            if name == b"mp4a":
                most = max(most, _channels(_specific(dict(_boxes(entry[_SOUND_ENTRY:])).get(b"esds", b""))))
    return most


def _channels(specific: bytes) -> int:
    """The channel configuration of an AudioSpecificConfig, for plain object types; 7 means eight channels."""
    if len(specific) < 2 or specific[0] >> 3 == 31:
        return 0
    bits = int.from_bytes(specific[:6].ljust(6, b"\0"), "big")
    explicit = bits >> 39 & 15 == 15
    told = bits >> (11 if explicit else 35) & 15
    return 8 if told == 7 else told if told < 7 else 0
