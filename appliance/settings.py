"""Every option: type, default, range, unit, one sentence. This module defines them and says where a value came from.

The environment (``SEEDKEEP_*``, ``__`` between levels, ``_FILE`` for secrets) wins over the TOML file, the file over
what the dashboard saved, that over the default.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

GIB = 1024**3
Rate = Annotated[int, Meta(ge=0)]
Transfer = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class Web(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    host: Annotated[str, Meta(description="Address the dashboard listens on.")] = "0.0.0.0"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port of the dashboard; 0 takes any free one.")] = 7333
    base_path: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9._~/-]*$",
            max_length=200,
            description="Also serve below this path, for a reverse proxy: /seedkeep.",
        ),
    ] = ""
    public_url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^\s/]+(/\S*)?)?$",
            max_length=500,
            description="Address that people outside this network use, if any, from https:// on.",
        ),
    ] = ""
    play_without_login: Annotated[bool, Meta(description="Screens on this network play without a login.")] = True


class Setup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    admin_password: Annotated[str, Meta(description="Password set at first start, instead of the one-time code.")] = ""


class Follow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    allow_private_origins: Annotated[
        bool, Meta(description="Follow servers on private and loopback addresses, and over plain HTTP.")
    ] = False
    contact: Annotated[
        str,
        Meta(
            pattern=r"^[ -~]*$",
            max_length=200,
            description="E-mail or web address named to origins in the User-Agent, for complaints.",
        ),
    ] = ""
    origin_daily_bytes: Annotated[
        Transfer | None, Meta(description="Bytes of media taken from one server each UTC day; none: no limit.")
    ] = None


class Swarm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    listen_port: Annotated[int, Meta(ge=0, le=65535, description="TCP and UDP port for peers; 0 takes any.")] = 47333
    interfaces: Annotated[str, Meta(description="Addresses or interfaces for peers, comma-separated; empty: all.")] = ""
    dht: Annotated[bool, Meta(description="Find peers over the distributed hash table.")] = True
    dht_bootstrap: Annotated[str, Meta(description="host:port nodes to join the DHT by, comma-separated.")] = (
        "router.bittorrent.com:6881,dht.libtorrent.org:25401"
    )
    lsd: Annotated[bool, Meta(description="Find peers on this network (local service discovery).")] = True
    upnp: Annotated[bool, Meta(description="Ask the router to open the peer port (UPnP and NAT-PMP).")] = True
    outgoing_utp: Annotated[bool, Meta(description="Call peers over uTP as well as TCP.")] = False
    encryption: Annotated[
        Literal["enabled", "forced", "disabled"], Meta(description="BitTorrent protocol encryption.")
    ] = "enabled"
    announce_at_once: Annotated[
        int, Meta(ge=1, le=100_000, description="Whole videos' torrents that look for peers at once, in turns.")
    ] = 200
    peers_per_video: Annotated[int, Meta(ge=2, le=500, description="Peers for each video at most.")] = 50
    webtorrent: Annotated[bool, Meta(description="Also talk to WebTorrent peers in browsers.")] = False


class Bandwidth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    upload: Annotated[Rate | None, Meta(description="Internet upload in bytes/s; none: unlimited, 0: stop.")] = None
    download: Annotated[Rate | None, Meta(description="Internet download in bytes/s; likewise.")] = None
    lan_upload: Annotated[Rate | None, Meta(description="Upload to peers on this network in bytes/s.")] = None
    lan_download: Annotated[Rate | None, Meta(description="Download from peers on this network.")] = None
    week: Annotated[
        str,
        Meta(
            max_length=400,
            description="Profile of each hour of the week, Monday 00:00 first: seven words of 24 letters "
            "f(ull), p(olite), n(ight), o(ff); empty: always full.",
        ),
    ] = ""
    timezone: Annotated[
        str, Meta(max_length=60, description="Time zone of the week and of budgets: Europe/Paris; empty: this host's.")
    ] = ""
    polite_upload: Annotated[Rate | None, Meta(description="Internet upload in polite hours in bytes/s.")] = 250_000
    polite_download: Annotated[Rate | None, Meta(description="Internet download in polite hours.")] = 1_250_000
    night_upload: Annotated[Rate | None, Meta(description="Internet upload in night hours in bytes/s.")] = None
    night_download: Annotated[Rate | None, Meta(description="Internet download in night hours.")] = None
    daily_upload: Annotated[
        Transfer | None, Meta(description="Bytes that may go up to the internet each day; none: no budget.")
    ] = None
    daily_download: Annotated[Transfer | None, Meta(description="Bytes that may come down each day.")] = None
    monthly_upload: Annotated[Transfer | None, Meta(description="Bytes that may go up each month.")] = None
    monthly_download: Annotated[Transfer | None, Meta(description="Bytes that may come down each month.")] = None
    yield_to_players: Annotated[
        bool, Meta(description="Send half as much to the internet while a screen in the house plays.")
    ] = True
    yield_to_household: Annotated[
        bool, Meta(description="Send less to the internet while packets wait in the router, and more again after.")
    ] = True
    probe_host: Annotated[
        str,
        Meta(
            max_length=253,
            pattern=r"^[A-Za-z0-9.:_-]*$",
            description="Host towards which that wait is measured; empty: an origin that is followed.",
        ),
    ] = ""
    billing_day: Annotated[
        int, Meta(ge=1, le=31, description="Day on which the month's budgets begin anew; a short month's last day.")
    ] = 1


class Library(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    floor_bytes: Annotated[
        int, Meta(ge=0, description="Free space never used, in bytes; the larger of both counts.")
    ] = 2 * GIB
    floor_percent: Annotated[float, Meta(ge=0, le=90, description="Free space never used, in % of the disk.")] = 5.0
    export_dir: Annotated[
        str, Meta(description="Folder below which channels are exported; empty: exports/ in the data folder.")
    ] = ""


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    at_once: Annotated[int, Meta(ge=1, le=50, description="Videos fetched at the same time.")] = 3
    patience: Annotated[
        int, Meta(ge=5, le=86_400, description="Seconds without a byte after which a video makes room for the next.")
    ] = 120
    watched: Annotated[
        Literal["keep", "drop"], Meta(description="What becomes of a video that was only watched, once nobody does.")
    ] = "keep"
    cache_bytes: Annotated[
        Transfer | None,
        Meta(
            description="Bytes for videos that were only watched, which go first; none: 10 GiB, at most 5 % of what "
            "the library may use; 0: nothing stays."
        ),
    ] = None
    web_videos: Annotated[bool, Meta(description="Also pin plain MP4 files where HLS is there.")] = False


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    challenge_daily_bytes: Annotated[
        int, Meta(ge=0, description="Bytes a day for finding out who really has copies; 0: never ask.")
    ] = 64 * 1024**2
    protect_days: Annotated[
        int, Meta(ge=1, le=365, description="Days an origin may fail before what is held of it is protected.")
    ] = 7


class Lan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    mdns: Annotated[bool, Meta(description="Announce the box on this network.")] = True
    name: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$",
            min_length=1,
            max_length=60,
            description="Name on this network: letters, digits, hyphens between them.",
        ),
    ] = "seedkeep"
    dlna: Annotated[bool, Meta(description="Show what is here on DLNA televisions and players.")] = True
    allow_interfaces: Annotated[
        str, Meta(max_length=500, description="The only interfaces that are this network: eth0, wlan*; empty: chosen.")
    ] = ""
    deny_interfaces: Annotated[
        str, Meta(max_length=500, description="Interfaces that never are this network: enp3s0, vmbr*.")
    ] = ""


class Tv(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    copies: Annotated[
        Literal["off", "when_needed"],
        Meta(
            description="Make a copy in H.264 and AAC of what is kept and plays on no common television, while the "
            "machine has nothing better to do; off: such copies are deleted."
        ),
    ] = "off"
    copies_bytes: Annotated[
        Transfer | None,
        Meta(
            description="Bytes for copies for televisions, which go first of all; none: 5 % of the disk, at most "
            "20 GiB."
        ),
    ] = None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    data_dir: Annotated[str, Meta(description="Folder for the database, keys and resume data.")] = "data"
    library_dir: Annotated[str, Meta(description="Folder for media; empty: library/ in the data folder.")] = ""
    web: Web = Web()
    setup: Setup = Setup()
    follow: Follow = Follow()
    swarm: Swarm = Swarm()
    bandwidth: Bandwidth = Bandwidth()
    library: Library = Library()
    pin: Pin = Pin()
    plan: Plan = Plan()
    lan: Lan = Lan()
    tv: Tv = Tv()
