"""States as a person sees them: a word, a tone, a drawing and one sentence. This module maps every state to these."""

from dataclasses import dataclass
from typing import assert_never

from appliance.domain.channel import Channel, ChannelState
from appliance.domain.pin import PinState
from appliance.domain.plan import Verdict
from appliance.domain.video import Upstream


@dataclass(frozen=True, slots=True)
class Badge:
    """``tone`` is one of good, busy, calm, warn, bad; ``icon`` names a drawing; ``hint`` is one sentence or empty."""

    word: str
    tone: str
    icon: str
    hint: str = ""


KEPT = Badge("kept", "good", "check", "Whole, verified and on this disk.")
WANTED = Badge("wanted", "calm", "clock", "Chosen by a rule; it comes when its turn does.")
GOING = Badge("going", "warn", "leaf", "No longer wanted; it leaves with the next plan.")
CACHED = Badge("cached", "calm", "screen", "Here only because it was watched; it goes first where room is needed.")
SKIPPED = Badge("skipped", "calm", "minus", "Not chosen by any rule.")


def pin_badge(state: PinState) -> Badge:
    match state:
        case PinState.PINNED:
            return KEPT
        case PinState.QUEUED:
            return Badge("queued", "calm", "clock", "Waits for its turn.")
        case PinState.PINNING:
            return Badge("arriving", "busy", "down", "Bytes come in and are verified.")
        case PinState.WAITING:
            return Badge("waiting", "warn", "pause", "Goes on by itself when what it waits for is there.")
        case PinState.FAILED:
            return Badge("failed", "bad", "alert", "Did not work; it is tried again later where that can help.")
        case PinState.MISSING:
            return Badge("missing", "bad", "alert", "Its files are not where they were.")
        case PinState.RELEASING:
            return GOING
        case _:
            assert_never(state)


def verdict_badge(verdict: Verdict) -> Badge:
    match verdict:
        case Verdict.KEEP:
            return KEPT
        case Verdict.PIN:
            return WANTED
        case Verdict.RELEASE:
            return GOING
        case Verdict.LEAVE:
            return SKIPPED
        case _:
            assert_never(verdict)


def video_badge(pin: PinState | None, verdict: Verdict | None, *, cached: bool = False) -> Badge:
    """Return the one badge of a video: what is happening to its pin, else what the plan says, or that it is cached."""
    if pin is not None:
        return GOING if pin is PinState.PINNED and verdict is Verdict.RELEASE else pin_badge(pin)
    if cached and verdict is not Verdict.PIN:
        return CACHED
    return SKIPPED if verdict is None else verdict_badge(verdict)


def channel_badge(channel: Channel) -> Badge:
    if channel.paused:
        return Badge("paused", "calm", "pause", "Not asked for anything new until resumed.")
    match channel.state:
        case ChannelState.NEW:
            return Badge("new", "busy", "clock", "Its first page has not been read yet.")
        case ChannelState.SYNCING:
            return Badge("reading", "busy", "down", "Its listing is being read, newest first.")
        case ChannelState.FOLLOWED:
            return Badge("followed", "good", "check", "Read whole, and looked at again from time to time.")
        case ChannelState.FAILING:
            return Badge("failing", "warn", "alert", "The origin did not answer as it should; it is asked again.")
        case ChannelState.GONE:
            return Badge("gone", "bad", "alert", "The origin no longer has this channel.")
        case _:
            assert_never(channel.state)


def upstream_note(upstream: Upstream) -> str:
    """Return what is unusual at the origin in one sentence, or nothing."""
    match upstream:
        case Upstream.PUBLISHED:
            return ""
        case Upstream.PROCESSING:
            return "The origin is still preparing this video."
        case Upstream.LIVE:
            return "A live broadcast: listed and left alone for now."
        case Upstream.HIDDEN:
            return "The origin no longer shows this video to everyone."
        case Upstream.GONE:
            return "The origin no longer has this video."
        case _:
            assert_never(upstream)
