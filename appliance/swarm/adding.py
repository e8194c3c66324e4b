"""What is handed to libtorrent when a torrent is added: this module prepares it, from what lies on disk.

It blocks (reading, hashing, parsing): run it in a thread.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import libtorrent as lt

from appliance.errors import DiskError, SwarmError
from appliance.swarm.extents import Extents
from appliance.swarm.mooring import NOWHERE, Mooring, moored
from appliance.swarm.options import SwarmOptions
from appliance.swarm.port import TorrentSpec
from appliance.swarm.resume import Claim, ResumeFiles
from appliance.swarm.torrent import usable_trackers, usable_web_seeds

_FLAGS = lt.torrent_flags


@dataclass(frozen=True, slots=True)
class Prepared:
    """A torrent ready to be added, paused. Web seeds are left out where ``window`` is to come first.

    What is not whole is moored, where its folder is there; else it has no place yet (``Moorings.hold``).
    """

    params: lt.add_torrent_params
    extents: Extents
    claim: Claim
    trackers: tuple[str, ...]
    web_seeds: tuple[str, ...]
    given_seeds: tuple[str, ...]
    mooring: Mooring | None


def check_spec(spec: TorrentSpec) -> None:
    """Refuse what would write outside its folder or under one name twice. Raises SwarmError."""
    if len(spec.names) != len(spec.meta.files) or len(set(spec.names)) != len(spec.names):
        raise SwarmError("The torrent's files and the names for them do not fit together.")
    if any(not n or n in {".", ".."} or "/" in n or "\0" in n for n in spec.names):
        raise SwarmError("A file name for the torrent leads elsewhere.")


def prepare(
    spec: TorrentSpec, options: SwarmOptions, resume: ResumeFiles, *, sequential: bool, stop: Callable[[], bool]
) -> Prepared:
    """Read the resume data, hash what it does not claim where it lies, and return the add.

    Raises SwarmError, and DiskError where a link stands in a file's place: libtorrent would write where it leads.
    """
    meta = spec.meta
    try:
        params = lt.load_torrent_buffer(meta.raw)
    except RuntimeError as trouble:
        raise SwarmError(f"The BitTorrent engine does not accept this torrent: {trouble}.") from trouble
    info = params.ti
    if str(params.info_hashes.v1) != meta.info_hash or info is None or info.num_pieces() != meta.pieces:
        raise SwarmError("The BitTorrent engine reads this torrent differently than we do.")
    extents = Extents.of(spec.folder, spec.names, (size for _, size in meta.files), meta.piece_length)
    _refuse_links(extents)
    hashes = info.hash_for_piece
    claim = resume.judge(meta.info_hash, extents, hashes, distrust=spec.distrust, stop=stop)
    trackers = tuple(usable_trackers(spec.trackers, allow_private=options.allow_private))
    web_seeds = tuple(usable_web_seeds(spec.web_seeds, allow_private=options.allow_private))
    given = () if sequential and spec.window else web_seeds
    params.renamed_files = dict(enumerate(spec.names))
    params.trackers, params.tracker_tiers = list(trackers), [0] * len(trackers)
    params.url_seeds, params.http_seeds = list(given), []
    params.dht_nodes = []
    params.max_connections = options.peers_per_torrent
    _resume_into(params, claim)
    params.flags = (params.flags | _FLAGS.paused | _FLAGS.update_subscribe) & ~_FLAGS.auto_managed
    if sequential:
        params.flags |= _FLAGS.sequential_download
    mooring = None if all(claim.have) else _moored(spec)
    params.save_path = str(spec.folder) if all(claim.have) else NOWHERE if mooring is None else mooring.path
    return Prepared(params, extents, claim, trackers, web_seeds, given, mooring)


def _moored(spec: TorrentSpec) -> Mooring | None:
    if spec.enter is None and not spec.folder.is_dir():
        return None  # it is made once something is to come
    with suppress(DiskError):
        return moored(spec.folder, spec.enter)
    return None


def _refuse_links(extents: Extents) -> None:
    for file, name in enumerate(extents.names):
        if extents.path(file).is_symlink():
            raise DiskError(
                f"{name} in the library is a link to somewhere else, and nothing is written through it.",
                hint="Remove the link; the video is then fetched again.",
            )


def _resume_into(params: lt.add_torrent_params, claim: Claim) -> None:
    params.have_pieces = [bool(k) for k in claim.have]
    params.unfinished_pieces = {k: blocks for k, blocks in claim.unfinished.items() if not claim.have[k]}


def prepare_again(spec_params: lt.add_torrent_params, have: bytearray) -> lt.add_torrent_params:
    """Return saved parameters changed to claim exactly ``have``: how a bad piece is asked for again."""
    spec_params.have_pieces = [bool(k) for k in have]
    spec_params.unfinished_pieces = {}
    spec_params.piece_priorities = []
    spec_params.flags = (spec_params.flags | _FLAGS.paused | _FLAGS.update_subscribe) & ~(
        _FLAGS.auto_managed | _FLAGS.seed_mode
    )
    return spec_params
