"""What the owner chose for the swarm, as libtorrent's settings: this module translates one into the other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import libtorrent as lt

from appliance.domain.traffic import Budget
from appliance.domain.units import KIB, MIB

Setting = str | int | bool

_ENCRYPTION = {"forced": 0, "enabled": 1, "disabled": 2}

PRIVATE_DHT: Mapping[str, Setting] = {
    "dht_restrict_routing_ips": False,
    "dht_restrict_search_ips": False,
    "dht_enforce_node_id": False,
    "dht_ignore_dark_internet": False,
    "dht_prefer_verified_node_ids": False,
    "dht_block_ratelimit": 1000,
}
"""Lets several DHT nodes share one address, as they do in tests; harmful on the public DHT."""


@dataclass(frozen=True, slots=True)
class SwarmOptions:
    """How the session is to behave.

    ``interfaces`` are addresses or interface names (empty: all), ``port`` TCP and UDP (0: any). ``lan`` are first and
    last addresses of the networks our own interfaces stand in; peers there are outside the internet's limits.
    ``allow_private`` lets torrents name trackers and web seeds on private addresses. ``extra`` are further libtorrent
    settings, for tests.
    """

    resume_dir: Path
    interfaces: tuple[str, ...] = ()
    port: int = 47333
    dht: bool = True
    dht_bootstrap: tuple[str, ...] = ()
    lsd: bool = True
    upnp: bool = True
    outgoing_utp: bool = False
    encryption: Literal["enabled", "forced", "disabled"] = "enabled"
    peers_per_torrent: int = 50
    webtorrent: bool = False
    allow_private: bool = False
    lan: tuple[tuple[str, str], ...] = ()
    extra: Mapping[str, Setting] = field(default_factory=dict)


ALERTS = int(
    lt.alert_category.error
    | lt.alert_category.status
    | lt.alert_category.storage
    | lt.alert_category.tracker
    | lt.alert_category.piece_progress
    | lt.alert_category.connect
)

CALM: Mapping[str, Setting] = {
    "whole_pieces_threshold": 20,
    "tick_interval": 500,
    "close_redundant_connections": True,
    "max_out_request_queue": 500,
    "request_queue_time": 3,
    "urlseed_max_request_bytes": 4 * MIB,
    "urlseed_pipeline_size": 5,
}
"""The settings while nobody watches: long queues, few wake-ups."""

WATCHED: Mapping[str, Setting] = {
    "whole_pieces_threshold": 0,
    "tick_interval": 100,
    "close_redundant_connections": False,
    "max_out_request_queue": 32,
    "request_queue_time": 1,
    "urlseed_max_request_bytes": 256 * KIB,
    "urlseed_pipeline_size": 2,
}
"""The settings while someone watches: short queues, so that a seek is not behind what was asked for before it."""


_EVEN_BELOW = 4 * MIB
_EVEN_TICK = 50
"""Milliseconds. libtorrent gives out a limit once a tick, all at once: at 500 ms half a second's worth fills the
router's queue, however low the limit."""


def is_even(budget: Budget) -> bool:
    """Say whether an upload limit is small enough to be given out evenly: others wait behind each burst."""
    return budget.upload is not None and budget.upload < _EVEN_BELOW


def pace(options: SwarmOptions, *, watched: bool, even: bool = False) -> Any:
    """Return the settings that differ while someone watches; ``even`` gives a limit out in small parts."""
    chosen = dict(WATCHED if watched else CALM)
    if even:
        chosen["tick_interval"] = _EVEN_TICK
    return {**chosen, **{k: v for k, v in options.extra.items() if k in chosen}}


def listen_interfaces(options: SwarmOptions) -> str:
    """Return the addresses to listen on as libtorrent spells them; IPv6 addresses get their brackets."""
    hosts = options.interfaces or ("0.0.0.0", "[::]")
    return ",".join(f"[{h}]:{options.port}" if ":" in h and h[0] != "[" else f"{h}:{options.port}" for h in hosts)


def session_settings(options: SwarmOptions, *, watched: bool = False) -> Any:
    """Return every libtorrent setting that ``options`` fix; what is not named keeps libtorrent's default."""
    policy = _ENCRYPTION[options.encryption]
    return {
        "user_agent": "Seedkeep",
        "listen_interfaces": listen_interfaces(options),
        "alert_mask": ALERTS,
        "alert_queue_size": 50_000,
        "enable_dht": options.dht,
        "dht_bootstrap_nodes": ",".join(options.dht_bootstrap),
        "enable_lsd": options.lsd,
        "enable_upnp": options.upnp,
        "enable_natpmp": options.upnp,
        "enable_outgoing_utp": options.outgoing_utp,
        "in_enc_policy": policy,
        "out_enc_policy": policy,
        "ssrf_mitigation": not options.allow_private,
        "max_webtorrent_offers": 2 if options.webtorrent else 0,
        "webtorrent_stun_server": "",
        # One entry for an address has a price: where a tracker names our own outside address, libtorrent calls itself,
        # and shuns everybody behind it in that torrent. With an entry for each port a banned liar comes back from
        # the next port, and one host may fill every slot: that costs everybody, not only neighbours of ours.
        "allow_multiple_connections_per_ip": False,
        "connections_limit": 1000,
        "unchoke_slots_limit": _SLOTS,
        "allowed_fast_set_size": 0,  # who is choked gets nothing at all
        "no_recheck_incomplete_resume": True,
        "report_web_seed_downloads": True,
        "max_queued_disk_bytes": 2 * MIB,  # what a kill may lose, beside the pieces that are not done
        "aio_threads": 4,
        **(WATCHED if watched else CALM),
        **options.extra,
    }


_TALK = 1 * MIB
"""Bytes/s for what peers say to one another: handshakes, requests, and what libtorrent reckons for packets' headers."""
_SLOTS = 24


def only_gives(budget: Budget) -> bool:
    """Say whether nothing may come from the internet while something may go there."""
    return budget.download == 0 and budget.upload != 0


def only_takes(budget: Budget) -> bool:
    """Say whether nothing may go to the internet while something may come from there."""
    return budget.upload == 0 and budget.download != 0


def limit_settings(budget: Budget) -> Any:
    """Return the caps on everything outside the LAN. libtorrent reads 0 as unlimited; 1 byte/s stops all.

    All means handshakes and requests too: whoever may not hear what is wanted cannot give, and whoever may not ask gets
    nothing. So while one way is open peers may talk both ways, and payload is stopped by other means: peers outside the
    LAN are choked (what is in a peer's buffer still goes: half a second's worth), and torrents that lack something take
    nothing (``Held.bar``).
    """
    return {
        "upload_rate_limit": _TALK if only_takes(budget) else lt_limit(budget.upload),
        "download_rate_limit": _TALK if only_gives(budget) else lt_limit(budget.download),
        "unchoke_slots_limit": 0 if only_takes(budget) else _SLOTS,
    }


def lt_limit(value: int | None) -> int:
    """Return a limit in bytes/s as libtorrent wants it: 0 for none, 1 for a stop."""
    return 0 if value is None else min(max(value, 1), 2**31 - 1)
