"""``video.json``, the self-describing record of one video: this module says what is in it, and reads hostile ones.

It lists every file of its folder that is ours, before that file exists; so after any kill a file is listed here, or
carries the prefix of our temporary names, or is not ours. Releasing deletes what it lists and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from appliance.domain.shelf import ByteMap, Playable, PlayableCaption, PlayableFile, PlayableRendition
from appliance.domain.units import ByteCount, InfoHash, Origin, RenditionName, VideoId, derived_id, video_id
from appliance.domain.video import RenditionKind, Storyboard
from appliance.errors import BadAnswer
from appliance.library.layout import origin_folder, safe_name

MAX_MANIFEST = 32 * 1024 * 1024
VERSION = 1

Size = Annotated[int, Meta(ge=0, le=1 << 50)]
Pixels = Annotated[int, Meta(ge=0, le=100_000)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(max_length=100_000)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class MediaFile(msgspec.Struct, frozen=True, kw_only=True):
    """One media file: ``name`` on disk, ``size`` in bytes, ``url`` at the origin."""

    name: Name
    size: Size
    url: Text = ""


class RenditionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One rendition that we hold or are fetching. ``width`` and ``height`` are pixels as shown; ``whole`` is verified.

    ``torrent`` and ``playlist`` are names of files beside the media; ``info_hashes`` the present one first, then those
    it had before renames.
    """

    name: Name
    kind: RenditionKind
    width: Pixels = 0
    height: Pixels = 0
    fps: float = 0.0
    codecs: Annotated[str, Meta(max_length=200)] = ""
    has_video: bool = True
    has_audio: bool = True
    size: Size
    files: tuple[MediaFile, ...]
    info_hashes: tuple[Annotated[str, Meta(pattern="^[0-9a-f]{40}$")], ...] = ()
    torrent: Name | None = None
    playlist: Name | None = None
    playlist_url: Text = ""
    whole: bool = False

    @property
    def info_hash(self) -> InfoHash | None:
        return InfoHash(self.info_hashes[0]) if self.info_hashes else None


class CaptionRecord(msgspec.Struct, frozen=True, kw_only=True):
    language: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,34}$")]
    label: Annotated[str, Meta(max_length=300)]
    file: Name
    url: Text = ""
    automatic: bool = False


class StoryboardRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The tiles' picture; see ``domain.video.Storyboard``."""

    file: Name
    url: Text = ""
    total_width: Pixels
    total_height: Pixels
    tile_width: Pixels
    tile_height: Pixels
    interval: float


class SideFile(msgspec.Struct, frozen=True, kw_only=True):
    """A small file beside the media that no other record names."""

    file: Name
    url: Text = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything needed to serve, seed or release one video without the catalogue. Fields of later versions are kept
    out: an unknown ``version`` is refused, unknown fields are ignored."""

    version: Literal[1] = 1
    id: str
    origin: Annotated[str, Meta(min_length=1, max_length=200)]
    uuid: Annotated[str, Meta(min_length=1, max_length=200)]
    url: Text = ""
    title: Text = ""
    description: Text = ""
    duration: Annotated[int, Meta(ge=0, le=10**8)] = 0
    published_at: datetime | None = None
    channel_name: Text = ""
    channel_title: Text = ""
    language: Annotated[str, Meta(max_length=100)] | None = None
    renditions: tuple[RenditionRecord, ...] = ()
    captions: tuple[CaptionRecord, ...] = ()
    thumbnail: SideFile | None = None
    storyboard: StoryboardRecord | None = None
    hashes: SideFile | None = None
    master: SideFile | None = None
    digests: Annotated[dict[Name, Sha256], Meta(max_length=10_000)] = {}
    """SHA-256 of playlists, torrents and the list of hashes as we wrote them: what is read back is checked by it."""
    others: tuple[Name, ...] = ()
    """Further files of ours that no other record names."""
    superseded: tuple[RenditionRecord, ...] = ()
    """Whole renditions whose file the origin replaced: kept and served until the new ones are whole."""
    promised: bool = True
    """Whether a pin stands behind it; what is held only because someone watches it is not promised."""

    @property
    def video(self) -> VideoId:
        return VideoId(self.id)

    def rendition(self, name: RenditionName) -> RenditionRecord | None:
        return next((r for r in self.renditions if r.name == name), None)


@dataclass(frozen=True, slots=True)
class Damaged:
    """A ``video.json`` that cannot be used. Its folder is left alone."""

    origin: str
    video: str
    message: str


def media_names(manifest: Manifest) -> frozenset[str]:
    """Return the names of all media files."""
    return frozenset(f.name for r in (*manifest.renditions, *manifest.superseded) for f in r.files)


def rendition_names(rendition: RenditionRecord) -> frozenset[str]:
    """Return the names of all files that belong to one rendition."""
    own = {f.name for f in rendition.files}
    return frozenset(own | {n for n in (rendition.torrent, rendition.playlist) if n})


def listed_names(manifest: Manifest) -> frozenset[str]:
    """Return the names of all files in the folder that are ours, ``video.json`` itself left out."""
    names = {n for r in (*manifest.renditions, *manifest.superseded) for n in rendition_names(r)}
    names.update(c.file for c in manifest.captions)
    sides = (manifest.thumbnail, manifest.storyboard, manifest.hashes, manifest.master)
    names.update(side.file for side in sides if side is not None)
    return frozenset(names | set(manifest.others))


def sizes(rendition: RenditionRecord) -> dict[str, ByteCount]:
    """Return its media files' sizes in bytes."""
    return {f.name: ByteCount(f.size) for f in rendition.files}


def encode(manifest: Manifest) -> bytes:
    """Return the text of ``video.json``. Raises BadAnswer for what must not be written (``check``)."""
    check(manifest)
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def decode(data: bytes) -> Manifest:
    """Read a ``video.json``. Raises BadAnswer, whatever is in it."""
    if len(data) > MAX_MANIFEST:
        raise BadAnswer("The video's record is too large.")
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BadAnswer(f"The video's record cannot be read: {str(error)[:200]}.") from error
    check(manifest)
    return manifest


def check(manifest: Manifest) -> None:
    """Raise BadAnswer where a record contradicts itself: names that escape or clash, a wrong id."""
    origin_folder(Origin(manifest.origin))
    if manifest.id != video_id(Origin(manifest.origin), manifest.uuid):
        raise BadAnswer("The video's record has an id that does not belong to it.")
    for name in listed_names(manifest):
        safe_name(name)
    known: dict[str, int] = {}
    for rendition in (*manifest.renditions, *manifest.superseded):
        for file in rendition.files:
            if known.setdefault(file.name, file.size) != file.size:
                raise BadAnswer("The video's record gives one file two sizes.")
    names = [r.name for r in manifest.renditions]
    if len(set(names)) != len(names):
        raise BadAnswer("The video's record names a rendition twice.")
    sides = listed_names(manifest) - media_names(manifest)
    every = (*manifest.renditions, *manifest.superseded)
    others = [n for r in every for n in (r.torrent, r.playlist) if n] + [c.file for c in manifest.captions]
    if any(n not in sides for n in others):
        raise BadAnswer("The video's record uses one name for two files.")


def identity(manifest: Manifest, file: MediaFile) -> str:
    """Return what lasts as long as the bytes do: PeerTube never gives other bytes the same name, and keeps the name
    through renames (other ``fileUrl``, other bytes)."""
    return derived_id(manifest.origin, manifest.uuid, file.name, str(file.size))


def to_playable(
    manifest: Manifest, bytemaps: Mapping[RenditionName, ByteMap], side_files: frozenset[str], *, partial: bool = False
) -> Playable:
    """Return what ``serve`` needs. ``side_files`` are the listed files found on disk; others are left out.

    HLS renditions without a byte map are left out; so are those not whole, unless ``partial`` (the caller then has
    readers for them).
    """
    board = manifest.storyboard if manifest.storyboard and manifest.storyboard.file in side_files else None
    thumb = manifest.thumbnail if manifest.thumbnail and manifest.thumbnail.file in side_files else None
    return Playable(
        video=manifest.video,
        title=manifest.title,
        duration=manifest.duration,
        renditions=tuple(
            _playable_rendition(manifest, r, bytemaps.get(RenditionName(r.name)))
            for r in manifest.renditions
            if (r.whole or partial) and (r.kind is not RenditionKind.HLS or RenditionName(r.name) in bytemaps)
        ),
        captions=tuple(
            PlayableCaption(c.language, c.label, c.file, c.automatic) for c in manifest.captions if c.file in side_files
        ),
        thumbnail=thumb.file if thumb else None,
        storyboard=_storyboard(board) if board else None,
        storyboard_file=board.file if board else None,
        side_files=tuple(sorted(side_files)),
        language=manifest.language or "",
    )


def _playable_rendition(manifest: Manifest, record: RenditionRecord, bytemap: ByteMap | None) -> PlayableRendition:
    return PlayableRendition(
        name=RenditionName(record.name),
        kind=record.kind,
        width=record.width,
        height=record.height,
        fps=record.fps,
        has_video=record.has_video,
        has_audio=record.has_audio,
        size=ByteCount(record.size),
        files=tuple(PlayableFile(f.name, ByteCount(f.size), identity(manifest, f)) for f in record.files),
        bytemap=bytemap,
        codecs=record.codecs,
    )


def _storyboard(record: StoryboardRecord) -> Storyboard:
    return Storyboard(
        url=record.url,
        total_width=record.total_width,
        total_height=record.total_height,
        tile_width=record.tile_width,
        tile_height=record.tile_height,
        interval=record.interval,
    )
