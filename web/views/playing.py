"""Who plays now: each screen with its video, since when, and where the bytes come from. This module finds the words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address

from appliance.domain.catalogue import VideoLine
from appliance.domain.screen import Sighting, family
from appliance.domain.units import VideoId
from appliance.store.leases import Lease
from web.services import Activity
from web.views import video, words
from web.views.video import Card, Say


@dataclass(frozen=True, slots=True)
class Playing:
    """One screen that plays one video. ``arriving``: what it plays is still on its way, so ``how`` is a speed."""

    card: Card
    screen: str
    since: str
    how: str
    arriving: bool


def playing(
    leases: Iterable[Lease],
    lines: Mapping[VideoId, VideoLine],
    sightings: Iterable[Sighting],
    activity: Mapping[VideoId, Activity],
    monotonic: float,
    now: datetime,
    say: Say,
) -> tuple[Playing, ...]:
    """Return who plays, the longest first; of videos that are still known. ``monotonic`` seconds are the leases'."""
    families = {one.address: family(one.agents) for one in sightings}
    return tuple(
        Playing(
            card=video.card(lines[lease.video], now, say),
            screen=screen(lease.holder, families.get(lease.holder, "")),
            since=_since(monotonic - lease.since),
            how=_how(activity.get(lease.video)),
            arriving=arrives(activity.get(lease.video)),
        )
        for lease in sorted(leases, key=lambda lease: lease.since)
        if lease.video in lines
    )


def arrives(activity: Activity | None) -> bool:
    """Tell whether a video that is watched is still being fetched."""
    return activity is not None and activity.done < activity.size


def screen(holder: str, kind: str) -> str:
    """Return what a screen is called: a guess at what it is, and its address or the name of its token."""
    try:
        here = ip_address(holder)
    except ValueError:
        return f"With the token “{holder}”" if holder else "A screen"
    if here.is_loopback:
        return f"{kind} on this machine" if kind else "This machine"
    return f"{kind or 'A screen'} at {holder}"


def heading(screens: int) -> str:
    return f"{words.many(screens, 'screen')} {'plays' if screens == 1 else 'play'} now"


def _since(seconds: float) -> str:
    return "just begun" if seconds < words.MINUTE else f"for {words.span(seconds)}"


def _how(activity: Activity | None) -> str:
    if activity is None or not arrives(activity):
        return "from the disk"
    return words.rate(activity.download_rate)
