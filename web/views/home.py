"""The first page: what is held, what happens now, what troubles there are. This module builds it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from appliance.domain.catalogue import SilentOrigin, VideoLine
from appliance.domain.channel import Channel, ChannelState, Trouble
from appliance.domain.pin import PinState
from appliance.domain.units import ChannelId, VideoId
from web.services import Activity, Rates
from web.views import video, words
from web.views.disk import Tray
from web.views.traffic import History
from web.views.video import Card, Say

_ORDER = {PinState.PINNING: 0, PinState.RELEASING: 1, PinState.WAITING: 2, PinState.FAILED: 3, PinState.MISSING: 3}


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around every page of a person who is logged in."""

    up: str
    down: str
    held: str
    held_share: float
    disk: str


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that goes on now: ``detail`` is its speed, or what it waits for."""

    card: Card
    detail: str


@dataclass(frozen=True, slots=True)
class Worry:
    """Something that needs a person, or at least patience."""

    where: str
    href: str
    trouble: Trouble
    since: str


@dataclass(frozen=True, slots=True)
class Silence:
    """An origin that no longer answers, in one sentence, and the channels of it that can be exported."""

    sentence: str
    channels: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Home:
    videos: int
    channels: int
    headline: str
    subline: str
    up: str
    down: str
    up_limit: str
    down_limit: str
    tray: Tray | None
    happening: tuple[Happening, ...]
    queued: int
    asked: int
    worries: tuple[Worry, ...]
    troubles: tuple[str, ...]
    newest: tuple[Card, ...]
    history: History


@dataclass(frozen=True, slots=True)
class Pulse:
    """The numbers of this moment: rates, limits in bytes/s, pins that wait their turn, videos held whole.

    ``asked`` are videos that the rules want and of which the origin has still to be asked how they are fetched.
    ``silent`` are channels whose server no longer answers: that is said once, of the server.
    """

    rates: Rates
    up_limit: int | None
    down_limit: int | None
    queued: int
    held: int
    asked: int = 0
    troubles: tuple[str, ...] = ()
    silent: frozenset[ChannelId] = frozenset()


def home(
    pulse: Pulse,
    channels: Sequence[Channel],
    tray: Tray | None,
    busy: Sequence[VideoLine],
    activity: Mapping[VideoId, Activity],
    newest: Sequence[VideoLine],
    history: History,
    now: datetime,
    say: Say,
) -> Home:
    """Return the first page. ``busy`` are videos whose pins are not at rest, in any order."""
    order = sorted(busy, key=lambda line: (_ORDER.get(line.pin_state, 9) if line.pin_state else 9, -line.done))
    return Home(
        videos=pulse.held,
        channels=len(channels),
        headline=_headline(pulse.held, len(channels)),
        subline=_subline(history, len(channels), pulse.held),
        up=words.rate(pulse.rates.up),
        down=words.rate(pulse.rates.down),
        up_limit=words.limit(pulse.up_limit),
        down_limit=words.limit(pulse.down_limit),
        tray=tray,
        happening=tuple(
            Happening(video.card(line, now, say), detail(line, activity.get(line.id))) for line in order[:6]
        ),
        queued=pulse.queued,
        asked=pulse.asked,
        worries=worries((c for c in channels if c.id not in pulse.silent), now),
        troubles=pulse.troubles,
        newest=tuple(video.card(line, now, say) for line in newest),
        history=history,
    )


def reading(channels: Iterable[Channel]) -> bool:
    """Tell whether a listing was not read to its end yet."""
    return any(channel.state in (ChannelState.NEW, ChannelState.SYNCING) for channel in channels)


def nothing(channels: Iterable[Channel], ruled: bool) -> str:
    """Return why nothing is kept or comes, of what was read whole. ``ruled``: a rule is in force."""
    if not ruled:
        return "No rule is in force: only what you pin by hand is kept."
    if not any(channel.listed for channel in channels):
        return "What you follow lists no videos yet."
    return "Of what is listed the rules want nothing so far."


def silences(origins: Iterable[SilentOrigin], now: datetime) -> tuple[Silence, ...]:
    """Return what is to be said of origins that have failed for long; each channel by id and title."""
    return tuple(
        Silence(
            sentence=f"{origin.origin} has not answered for {words.span((now - origin.since).total_seconds())}. "
            f"What is held of it is protected: {words.many(origin.videos, 'video')}, {words.size(origin.size)}.",
            channels=tuple((channel.id, channel.title) for channel in origin.channels),
        )
        for origin in origins
    )


def detail(line: VideoLine, activity: Activity | None) -> str:
    """Return how a pin goes on, in one line: its speed, its peers, its end; or what it waits for."""
    if line.pin_state is not PinState.PINNING:
        return line.trouble.message if line.trouble and line.pin_state is not PinState.PINNED else ""
    if activity is None:
        return ""
    parts = [words.rate(activity.download_rate)]
    if activity.peers:
        parts.append(words.many(activity.peers, "peer"))
    if activity.seconds_left is not None and activity.seconds_left < 7 * words.DAY:
        parts.append(f"about {words.span(activity.seconds_left)} left")
    return " · ".join(parts)


def worries(channels: Iterable[Channel], now: datetime) -> tuple[Worry, ...]:
    """Return the channels that have trouble, each with its sentence and remedy."""
    return tuple(
        Worry(
            where=channel.info.title or channel.info.address.name,
            href=f"channels/{channel.id}",
            trouble=channel.trouble,
            since=f"Asked again {words.ahead(channel.next_check, now)}." if channel.next_check else "",
        )
        for channel in channels
        if channel.trouble is not None and not channel.paused
    )


def _headline(held: int, channels: int) -> str:
    if not channels and not held:
        return "Nothing kept yet"
    if not held:
        return f"Following {words.many(channels, 'channel')}"
    return f"Keeping {words.many(held, 'video')}"


def _subline(history: History, channels: int, held: int) -> str:
    if history.empty:
        if held:
            return "Here to be watched, and given to whoever asks."
        return "The first videos are on their way." if channels else "Follow a channel, and its videos come to stay."
    line = f"Gave {history.up} in the last 30 days"
    return f"{line}, {history.ratio} times what it took." if history.ratio else f"{line} and took {history.down}."
