"""What survives a stop: this module keeps resume data in files, and says how far they may be believed.

``<folder>/<info-hash>.resume`` holds libtorrent's resume data with one key of ours, ``<folder>/session.state`` the
DHT's nodes, ``<folder>/session.mark`` the boot id under which the session last ran and whether it closed cleanly.
After a crash of the process the kernel still wrote what was handed to it, so claims hold; after a power loss (another
boot id, no clean mark) only what was fsynced may be believed. Everything here blocks: run it in a thread.
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import libtorrent as lt

from appliance.domain.units import InfoHash
from appliance.swarm.extents import Extents, good_pieces, lengths_on_disk, pieces_with_data

_SYNCED = b"seedkeep-synced"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MAX_RESUME_BYTES = 64 << 20


@dataclass(slots=True)
class Claim:
    """What is known of a torrent's pieces before libtorrent sees it. ``have`` is one byte a piece, 1 for verified.

    ``unfinished`` are the blocks (16 KiB) that libtorrent says it wrote of pieces not done. ``missing`` names files
    that were claimed and are not there.
    """

    have: bytearray
    unfinished: dict[int, list[bool]] = field(default_factory=dict)
    missing: str = ""
    synced: bool = False


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file so that after any crash either the old or the new content is there."""
    fresh = path.with_name(path.name + ".new")
    with open(fresh, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "unknown"


class ResumeFiles:
    """The folder of resume data. ``believed`` is false after a power loss, known once ``open`` has run."""

    def __init__(self, folder: Path, boot_id: Callable[[], str] = _boot_id) -> None:
        self.folder, self._boot_id = folder, boot_id
        self.believed = False

    def open(self) -> bytes | None:
        """Mark the session as running and return the stored session state, if any."""
        self.folder.mkdir(parents=True, exist_ok=True)
        boot, _, how = self._read_mark().partition(" ")
        self.believed = how == "clean" or (bool(boot) and boot == self._boot_id())
        write_atomic(self._mark, f"{self._boot_id()} running".encode())
        return self._read(self.folder / "session.state")

    def close(self, state: bytes) -> None:
        """Store the session state and mark a clean end."""
        write_atomic(self.folder / "session.state", state)
        write_atomic(self._mark, f"{self._boot_id()} clean".encode())

    @property
    def _mark(self) -> Path:
        return self.folder / "session.mark"

    def _read_mark(self) -> str:
        return (self._read(self._mark) or b"").decode("ascii", "replace")

    def _path(self, info_hash: InfoHash) -> Path:
        return self.folder / f"{info_hash}.resume"

    @staticmethod
    def _read(path: Path) -> bytes | None:
        try:
            with open(path, "rb") as file:
                return file.read(_MAX_RESUME_BYTES)
        except OSError:
            return None

    def write(self, info_hash: InfoHash, buffer: bytes, claimed: bytes, *, synced: bool) -> None:
        """Store one torrent's resume data, claiming no other pieces than ``claimed`` (one byte each, 1 for ours).

        libtorrent claims all of them once the last passed its hash in memory. ``synced`` says that its files were
        fsynced while whole.
        """
        params = lt.read_resume_data(buffer)
        params.have_pieces = [bool(a and b) for a, b in zip(params.have_pieces, claimed, strict=False)]
        if not any(claimed):
            params.unfinished_pieces = {}
        data: Any = lt.bdecode(lt.write_resume_data_buf(params))
        data[_SYNCED] = int(synced)
        write_atomic(self._path(info_hash), lt.bencode(data))

    def forget(self, info_hash: InfoHash) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._path(info_hash).unlink()

    def _stored(self, info_hash: InfoHash, pieces: int) -> Claim | None:
        """Return what the resume data of one torrent claims, None where there is none that can be read."""
        buffer = self._read(self._path(info_hash))
        if not buffer:
            return None
        try:
            params = lt.read_resume_data(buffer)
            own: Any = lt.bdecode(buffer)
        except (RuntimeError, ValueError):
            return None
        claimed = list(params.have_pieces)[:pieces]
        if str(params.info_hashes.v1) != info_hash or not isinstance(own, dict):
            return None
        have = bytearray(claimed) + bytearray(pieces - len(claimed))
        unfinished = {k: list(blocks) for k, blocks in params.unfinished_pieces.items() if 0 <= k < pieces}
        return Claim(have, unfinished, synced=own.get(_SYNCED) == 1 and all(have))

    def judge(
        self,
        info_hash: InfoHash,
        extents: Extents,
        hash_of: Callable[[int], bytes],
        *,
        distrust: bool,
        stop: Callable[[], bool],
    ) -> Claim:
        """Say which pieces are here: those the resume data claims, if believable, and those found by hashing."""
        stored = self._stored(info_hash, extents.pieces)
        claim = stored or Claim(bytearray(extents.pieces))
        claim.missing = _lost(claim.have, extents)
        if distrust or not (self.believed or claim.synced):
            claim = Claim(bytearray(extents.pieces), missing=claim.missing)
        if all(claim.have):
            return claim
        candidates = (k for k in pieces_with_data(extents) if not claim.have[k])
        for piece in good_pieces(extents, hash_of, candidates, stop):
            claim.have[piece] = 1
            claim.unfinished.pop(piece, None)
        return claim


def _lost(have: bytearray, extents: Extents) -> str:
    """Take back claims on bytes that are not there, and name the files they were in."""
    lengths = lengths_on_disk(extents)
    if all(there == due for there, due in zip(lengths, extents.sizes, strict=True)):
        return ""
    lost: dict[str, str] = {}
    for piece in range(extents.pieces):
        if not have[piece]:
            continue
        for part in extents.piece_slices(piece):
            if lengths[part.file] < part.offset + part.length:
                have[piece] = 0
                lost[extents.names[part.file]] = "is not there" if lengths[part.file] < 0 else "is cut short"
    return "; ".join(f"{name} {how}" for name, how in list(lost.items())[:5])
