"""A channel for a person: a card for the list and its own page's head. This module builds them."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from appliance.domain.catalogue import ChannelCounts, OriginToday
from appliance.domain.channel import Channel, ChannelKind, ChannelState, Trouble
from web.views import states, words
from web.views.states import Badge
from web.views.video import tint
from web.views.words import Moment

_KINDS = {
    ChannelKind.CHANNEL: "channel",
    ChannelKind.ACCOUNT: "account",
    ChannelKind.INSTANCE: "whole server",
}


@dataclass(frozen=True, slots=True)
class Card:
    id: str
    title: str
    name: str
    origin: str
    kind: str
    href: str
    portrait: str
    initial: str
    tint: int
    badge: Badge
    held: str
    wanted: str
    listed: str
    size: str
    share: float
    asked: str
    checked: Moment | None
    next: str
    trouble: Trouble | None
    description: str
    url: str
    paused: bool
    release_when_gone: bool
    web_videos: bool


def card(channel: Channel, counts: ChannelCounts | None, today: OriginToday | None, now: datetime) -> Card:
    """Return what a channel's card and page show; ``today`` is what was asked of its origin."""
    held, wanted, held_bytes = (counts.held, counts.wanted, counts.held_bytes) if counts else (0, 0, 0)
    info, address = channel.info, channel.info.address
    title = info.title or address.name or address.origin
    return Card(
        id=channel.id,
        title=title,
        name="" if address.kind is ChannelKind.INSTANCE else address.name,
        origin=address.origin,
        kind=_KINDS[address.kind],
        href=f"channels/{channel.id}",
        portrait=_portrait(channel),
        initial=next((letter for letter in title if letter.isalnum()), "•").upper(),
        tint=tint(channel.id),
        badge=states.channel_badge(channel),
        held=words.count(held),
        wanted=words.count(wanted),
        listed=_listed(channel),
        size=words.size(held_bytes),
        share=words.share(held, held + wanted),
        asked=words.many(today.requests if today else 0, "request"),
        checked=words.past(channel.last_check, now) if channel.last_check else None,
        next="while paused, never" if channel.paused else words.ahead(channel.next_check, now),
        trouble=channel.trouble,
        description=info.description,
        url=info.url if info.url.startswith(("https://", "http://")) else "",
        paused=channel.paused,
        release_when_gone=channel.when_gone.value == "release",
        web_videos=channel.web_videos,
    )


def _portrait(channel: Channel) -> str:
    """Return where the channel's picture is, by the address that it has at the origin; empty where it has none."""
    url = channel.info.avatar_url
    return f"channels/{channel.id}/portrait?v={hashlib.sha256(url.encode()).hexdigest()[:8]}" if url else ""


def _listed(channel: Channel) -> str:
    if channel.state in (ChannelState.NEW, ChannelState.SYNCING) and channel.total and channel.total > channel.listed:
        return f"{words.count(channel.listed)} of {words.count(channel.total)}"
    return words.count(channel.listed)
