"""Screens and this box's address for a person: who was seen, how far each came, and what it took. Sentences."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from appliance.domain.screen import Act, Deed, Sighting, family
from appliance.domain.units import VideoId
from appliance.lan.ssdp_look import Renderer
from web.views import words
from web.views.states import Badge

_NOW = timedelta(seconds=90)
"""A screen that took media this lately plays."""

_GONE = "A video that is gone"

STEPS = {
    Act.SEARCHED: "searched",
    Act.DESCRIBED: "found us",
    Act.BROWSED: "looked around",
    Act.FETCHED: "played",
}
"""The way of a screen, as it is shown; not every one subscribes."""


@dataclass(frozen=True, slots=True)
class Step:
    word: str
    done: bool
    hint: str


@dataclass(frozen=True, slots=True)
class Took:
    """One video a screen took something of. ``href`` is empty where it is not known any more."""

    href: str
    title: str
    size: str
    when: words.Moment


@dataclass(frozen=True, slots=True)
class Screen:
    """One screen. ``names`` is what it calls itself, a stranger's text."""

    name: str
    address: str
    names: tuple[str, ...]
    badge: Badge
    steps: tuple[Step, ...]
    advice: str
    last: words.Moment
    took: tuple[Took, ...]


def shown(sightings: Iterable[Sighting], idle: int = 4) -> tuple[tuple[Sighting, ...], int]:
    """Return those worth a person's look, and how many are left out: many a phone searches, and never comes nearer."""
    every = tuple(sightings)
    searched = [one for one in every if one.farthest is Act.SEARCHED]
    left = set(searched[idle:])
    return tuple(one for one in every if one not in left), len(left)


def screens(sightings: Iterable[Sighting], titles: Mapping[VideoId, str], now: datetime) -> tuple[Screen, ...]:
    """Return the screens that were seen, in the order given; ``titles`` of videos that are still known."""
    return tuple(_screen(one, titles, now) for one in sightings)


def _screen(one: Sighting, titles: Mapping[VideoId, str], now: datetime) -> Screen:
    came = {act for act, _ in one.deeds}  # a browser only plays, and has no way that could be shown
    return Screen(
        name=family(one.agents) or "A screen",
        address=one.address,
        names=one.agents,
        badge=_badge(one, now),
        steps=() if came == {Act.FETCHED} else _steps(one, now),
        advice=_ADVICE.get(one.farthest, ""),
        last=words.past(one.last, now),
        took=tuple(
            Took(
                f"videos/{f.video}" if f.video in titles else "",
                titles.get(f.video, _GONE),
                words.size(f.size),
                words.past(f.last, now),
            )
            for f in one.fetched
        ),
    )


_ADVICE = {
    Act.SEARCHED: "It searched and was answered, and has not opened this box yet. Choose it among its media sources.",
    Act.DESCRIBED: "It knows this box and has not looked inside yet. Choose it among its media sources.",
}


def _steps(one: Sighting, now: datetime) -> tuple[Step, ...]:
    """Return the way as far as it came: who looked around has found us, whether we saw that or not."""
    deeds, far = dict(one.deeds), list(Act).index(one.farthest)
    return tuple(Step(word, list(Act).index(act) <= far, _hint(deeds.get(act), now)) for act, word in STEPS.items())


def _hint(deed: Deed | None, now: datetime) -> str:
    if deed is None:
        return ""
    times = "once" if deed.count == 1 else f"{words.count(deed.count)} times"
    return f"{times}, last {words.ago(deed.last, now)}"


def _badge(one: Sighting, now: datetime) -> Badge:
    match one.farthest:
        case Act.FETCHED if now - _took(one) < _NOW:
            return Badge("playing", "busy", "play")
        case Act.FETCHED:
            return Badge("played", "good", "check")
        case Act.BROWSED | Act.SUBSCRIBED:
            return Badge("looked around", "good", "check")
        case Act.DESCRIBED:
            return Badge("found us", "good", "check")
        case Act.SEARCHED:
            return Badge("searched", "calm", "search")


def _took(one: Sighting) -> datetime:
    """Return when it last took media: asked for some, or was given some of what it asked for long ago."""
    return max(dict(one.deeds)[Act.FETCHED].last, *(f.last for f in one.fetched[:1]), one.first)


@dataclass(frozen=True, slots=True)
class Found:
    """A screen that answered our search; ``seen``: it has also asked us for something."""

    name: str
    model: str
    address: str
    seen: bool


def found(renderers: Iterable[Renderer], sightings: Iterable[Sighting]) -> tuple[Found, ...]:
    known = {one.address for one in sightings}
    return tuple(
        Found(r.name or family((r.server,)) or "A screen without a name", r.model, r.address, r.address in known)
        for r in renderers
    )


@dataclass(frozen=True, slots=True)
class Code2D:
    """A QR code as one SVG path of unit squares; ``size`` is the side, quiet zone and all."""

    size: int
    path: str


@lru_cache(16)
def qr(text: str) -> Code2D:
    """Return ``text`` as a QR code (ISO 18004), error correction M, with the quiet zone of four modules."""
    import segno  # only this page needs it

    made = segno.make_qr(text, error="m", boost_error=False)
    rows = [bytes(row) for row in made.matrix_iter(border=4)]
    path = "".join(f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, dark in enumerate(row) if dark)
    return Code2D(len(rows), path)
