"""The settings as each room takes them: this module turns them into the rooms' own small frozen options."""

import uuid
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from appliance.domain.units import ByteCount
from appliance.lan.interfaces import Choice, Household
from appliance.library.space import Floor
from appliance.outbound.fetch import OutboundOptions
from appliance.pin.cache import CacheOptions
from appliance.pin.keeper import KeeperOptions
from appliance.plan.examiner import ExaminerOptions
from appliance.plan.planner import PlannerOptions
from appliance.seed.yielding import YieldingOptions
from appliance.serve.copies import CopyOptions
from appliance.settings import Settings
from appliance.swarm.options import SwarmOptions


def program_version() -> str:
    """Return the installed version, or ``0`` where it runs from a bare tree."""
    try:
        return version("seedkeep")
    except PackageNotFoundError:
        return "0"


def device_ident(library_id: str) -> str:
    """Return the UUID of the media server that televisions see: one for each library, and never another."""
    return str(uuid.uuid5(uuid.UUID("5c1d3f0e-9f0a-5b7a-8f4e-2b7d3a6c9e10"), library_id))


def swarm_options(settings: Settings, data: Path, home: Household) -> SwarmOptions:
    """Return the settings as the swarm takes them."""
    s = settings.swarm
    return SwarmOptions(
        resume_dir=data / "resume",
        interfaces=_list(s.interfaces),
        port=s.listen_port,
        dht=s.dht,
        dht_bootstrap=_list(s.dht_bootstrap),
        lsd=s.lsd,
        upnp=s.upnp,
        outgoing_utp=s.outgoing_utp,
        encryption=s.encryption,
        peers_per_torrent=s.peers_per_video,
        webtorrent=s.webtorrent,
        allow_private=settings.follow.allow_private_origins,
        lan=home.ranges(),
    )


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def outbound_options(settings: Settings) -> OutboundOptions:
    """Return how we behave towards origins; the User-Agent names us and where to complain."""
    contact = f" (+{settings.follow.contact})" if settings.follow.contact else ""
    return OutboundOptions(
        allow_private=settings.follow.allow_private_origins, user_agent=f"Seedkeep/{program_version()}{contact}"
    )


def keeper_options(settings: Settings) -> KeeperOptions:
    most = settings.follow.origin_daily_bytes
    size = settings.pin.cache_bytes
    return KeeperOptions(
        settings.pin.at_once,
        float(settings.pin.patience),
        None if most is None else ByteCount(most),
        CacheOptions(None if size is None else ByteCount(size), keep=settings.pin.watched == "keep"),
    )


def copy_options(settings: Settings) -> CopyOptions:
    size = settings.tv.copies_bytes
    return CopyOptions(settings.tv.copies == "when_needed", None if size is None else ByteCount(size))


def yielding_options(settings: Settings) -> YieldingOptions:
    b = settings.bandwidth
    return YieldingOptions(b.yield_to_players, b.yield_to_household, b.probe_host)


def planner_options(settings: Settings) -> PlannerOptions:
    return PlannerOptions(settings.pin.web_videos, timedelta(days=settings.plan.protect_days))


def interface_choice(settings: Settings) -> Choice:
    """Return which interfaces the owner says are the household's."""
    return Choice(_list(settings.lan.allow_interfaces), _list(settings.lan.deny_interfaces))


def examiner_options(settings: Settings, home: Household) -> ExaminerOptions:
    """Return whom challenges may call, and from where: as the swarm's own calls."""
    s = settings.swarm
    return ExaminerOptions(s.encryption != "forced", _list(s.interfaces), frozenset(map(str, home.addresses())))


def floor_of(settings: Settings) -> Floor:
    return Floor(ByteCount(settings.library.floor_bytes), settings.library.floor_percent)
