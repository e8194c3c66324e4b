"""Releasing: this module deletes what a video's record lists, exactly, and nothing else. Blocking: call it in a thread.

It is the only code that unlinks media. All names are looked up in the opened folder, and no symbolic link is followed.
"""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import msgspec

from appliance.domain.units import ByteCount, Origin, RenditionName
from appliance.library.atomic import naming_disk_errors, write_at
from appliance.library.files import regular
from appliance.library.layout import MANIFEST, TEMPORARY
from appliance.library.manifest import Manifest, encode, listed_names
from appliance.library.marker import Library


@dataclass(frozen=True, slots=True)
class Released:
    """What a release did: bytes and files given back, and names it left because they are not ours (or not files)."""

    freed: ByteCount
    files: int
    left: tuple[str, ...] = ()


def release(library: Library, manifest: Manifest, renditions: Collection[RenditionName] | None = None) -> Released:
    """Delete exactly what ``manifest`` lists: all of it, or what only ``renditions`` use.

    May be repeated after a kill at any moment. Links and folders under a listed name are left, so is every file that
    is not listed. A whole release ends with ``video.json`` and then the empty folders; a part of one with a new
    ``video.json``. Raises LibraryMissing, DiskError.
    """
    try:
        with library.open_folder(Origin(manifest.origin), manifest.video) as folder:
            if renditions is None:
                done = _unlink(folder, listed_names(manifest))
                _unlink(folder, [n for n in os.listdir(folder) if n.startswith(TEMPORARY)])
                _unlink(folder, [MANIFEST])
                os.fsync(folder)
                left = tuple(sorted(os.listdir(folder)))
            else:
                rest = without(manifest, renditions)
                done = _unlink(folder, listed_names(manifest) - listed_names(rest))
                os.fsync(folder)
                write_at(folder, MANIFEST, encode(rest))
                return done
    except FileNotFoundError:
        done, left = Released(ByteCount(0), 0), ()
    if renditions is None:
        remove_empty(library, library.folder(Origin(manifest.origin), manifest.video))
    return Released(done.freed, done.files, left)


def prune(library: Library, manifest: Manifest) -> Manifest:
    """Delete the files that ``manifest`` lists as others, and nothing else; return, and write, the record without them.

    Raises LibraryMissing, DiskError.
    """
    if not manifest.others:
        return manifest
    rest = msgspec.structs.replace(manifest, others=())
    with library.open_folder(Origin(manifest.origin), manifest.video) as folder:
        _unlink(folder, frozenset(manifest.others) - listed_names(rest))
        os.fsync(folder)
        write_at(folder, MANIFEST, encode(rest))
    return rest


def without(manifest: Manifest, renditions: Collection[RenditionName]) -> Manifest:
    """Return the record that is left when ``renditions`` are gone."""
    return msgspec.structs.replace(
        manifest, renditions=tuple(r for r in manifest.renditions if RenditionName(r.name) not in renditions)
    )


def clear_temporaries(library: Library, manifest: Manifest) -> int:
    """Delete our own unfinished temporary files of one video, left by a kill. Return how many."""
    try:
        with library.open_folder(Origin(manifest.origin), manifest.video) as folder:
            return _unlink(folder, [n for n in os.listdir(folder) if n.startswith(TEMPORARY)]).files
    except FileNotFoundError:
        return 0


def _unlink(folder: int, names: Collection[str]) -> Released:
    freed = files = 0
    with naming_disk_errors("A file cannot be deleted"):
        for name in sorted(names):
            found = regular(folder, name)
            if found is None:
                continue
            try:
                os.unlink(name, dir_fd=folder)
            except FileNotFoundError:
                continue
            freed, files = freed + found.st_blocks * 512, files + 1
    return Released(ByteCount(freed), files)


def remove_empty(library: Library, folder: Path) -> None:
    """Remove a video's folder and its origin's, where they are empty: they may stay. Raises LibraryMissing.

    A kill between the last file and the folder leaves one without a record, which nobody else would look for.
    """
    library.require()
    for path in (folder, folder.parent):
        try:
            os.rmdir(path)
        except OSError:
            return
