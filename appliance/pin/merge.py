"""The record a folder has and the record it should have, made one: no file of ours ever goes unlisted. Pure."""

import msgspec

from appliance.library.manifest import Manifest, RenditionRecord, listed_names, rendition_names


def merged(old: Manifest | None, new: Manifest) -> Manifest:
    """Return ``new`` with everything of ``old`` that is still on the disk kept listed.

    Renditions that ``new`` does not name stay as they are. One that has other files now is superseded: kept and served
    until the new one is whole, or merely listed where it never was whole. The same files keep their older info-hashes
    and are as whole as they were: whoever verifies them says otherwise (``not_whole``).
    """
    if old is None:
        return new
    now = {r.name: r for r in new.renditions}
    renditions: list[RenditionRecord] = []
    superseded = {r.name: r for r in (*old.superseded, *new.superseded)}
    for fresh in new.renditions:
        before = old.rendition(fresh.name)  # type: ignore[arg-type]
        if before is None:
            renditions.append(fresh)
        elif _same_files(before, fresh):
            hashes = tuple(dict.fromkeys((*fresh.info_hashes, *before.info_hashes)))
            renditions.append(msgspec.structs.replace(fresh, info_hashes=hashes, whole=before.whole))
        else:
            renditions.append(fresh)
            if before.whole:
                superseded[before.name] = before
    renditions.extend(r for r in old.renditions if r.name not in now)
    kept = msgspec.structs.replace(
        new,
        renditions=tuple(renditions),
        superseded=tuple(superseded.values()),
        captions=new.captions or old.captions,
        thumbnail=new.thumbnail or old.thumbnail,
        storyboard=new.storyboard or old.storyboard,
        hashes=new.hashes or old.hashes,
        promised=new.promised or old.promised,
    )
    forgotten = (listed_names(old) | listed_names(new)) - listed_names(kept)
    there = listed_names(kept)
    digests = {name: known for name, known in {**old.digests, **new.digests}.items() if name in there}
    return msgspec.structs.replace(kept, others=tuple(sorted({*kept.others, *forgotten})), digests=digests)


def whole(manifest: Manifest, names: frozenset[str]) -> Manifest:
    """Return the record with the renditions ``names`` marked whole, and what they replace no longer served.

    The files of what was replaced stay listed, to be deleted.
    """
    gone = [r for r in manifest.superseded if r.name in names]
    left = tuple(r for r in manifest.superseded if r.name not in names)
    renditions = tuple(msgspec.structs.replace(r, whole=True) if r.name in names else r for r in manifest.renditions)
    new = msgspec.structs.replace(manifest, renditions=renditions, superseded=left)
    files = {n for r in gone for n in rendition_names(r)} - listed_names(new)
    return msgspec.structs.replace(new, others=tuple(sorted({*new.others, *files})))


def not_whole(manifest: Manifest, names: frozenset[str]) -> Manifest:
    """Return the record with the renditions ``names`` no longer said to be whole."""
    renditions = tuple(msgspec.structs.replace(r, whole=False) if r.name in names else r for r in manifest.renditions)
    return msgspec.structs.replace(manifest, renditions=renditions)


def served(manifest: Manifest) -> Manifest:
    """Return the record as it is served: a rendition that is not whole is stood in for by the one it replaces."""
    stand_in = {r.name: r for r in manifest.superseded if r.whole}
    renditions = tuple(r if r.whole else stand_in.get(r.name, r) for r in manifest.renditions)
    return msgspec.structs.replace(manifest, renditions=renditions)


def _same_files(a: RenditionRecord, b: RenditionRecord) -> bool:
    return [(f.name, f.size) for f in a.files] == [(f.name, f.size) for f in b.files]
