"""One video for a person: a card for lists, and all there is to say on its own page. This module builds both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from appliance.domain.catalogue import VideoLine, VideoRecord
from appliance.domain.channel import Trouble
from appliance.domain.pin import Cached, Pin, PinState, Wish
from appliance.domain.plan import Copies, Decision, Reason, ReasonCode, Verdict
from appliance.domain.units import ByteCount
from appliance.domain.video import Rendition, RenditionKind, Upstream
from web.views import copies, states, words
from web.views.player import Board, Caption, Player, player
from web.views.states import Badge
from web.views.words import Moment

Say = Callable[[Reason], str]
"""Makes a reason a sentence."""

_ARRIVING = (PinState.QUEUED, PinState.PINNING, PinState.WAITING, PinState.FAILED)


@dataclass(frozen=True, slots=True)
class Card:
    """``tint`` (0 to 7) colours the drawing that stands in for a missing image; ``percent`` only while it arrives."""

    id: str
    title: str
    channel: str
    href: str
    thumb: str | None
    tint: int
    length: str
    badge: Badge
    percent: float | None
    progress: str
    why: str
    facts: tuple[str, ...]
    published: Moment
    by_hand: bool


@dataclass(frozen=True, slots=True)
class RenditionRow:
    name: str
    kind: str
    picture: str
    size: str
    held: Badge


@dataclass(frozen=True, slots=True)
class FileRow:
    name: str
    size: str


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside the media of a held video on the disk."""

    files: Sequence[FileRow] = ()
    captions: Sequence[Caption] = ()
    board: Board | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One video's page. ``may_*`` say which buttons make sense now; ``channel_href``: where it is followed.

    ``cached`` says what is here only because it was watched, and may be let go; empty where nothing is.
    """

    card: Card
    channel_href: str
    description: str
    origin: str
    origin_url: str
    views: str
    likes: str
    language: str
    category: str
    tags: tuple[str, ...]
    note: str
    trouble: Trouble | None
    retry: str
    reasons: tuple[str, ...]
    renditions: tuple[RenditionRow, ...]
    files: tuple[FileRow, ...]
    player: Player | None
    cached: str
    copies: str
    given: str
    taken: str
    may_pin: bool
    may_unpin: bool
    may_bar: bool
    barred: bool


def card(line: VideoLine, now: datetime, say: Say) -> Card:
    """Return a video's card for lists."""
    arriving = line.pin_state in _ARRIVING and line.size > 0
    return Card(
        id=line.id,
        title=line.title or "Untitled video",
        channel=line.channel_title or line.origin,
        href=f"videos/{line.id}",
        thumb=f"media/{line.id}/thumbnail.jpg" if _has_picture(line) else None,
        tint=tint(line.id),
        length=words.length(line.duration) if line.duration else "",
        badge=states.video_badge(
            line.pin_state, line.decision.verdict if line.decision else None, cached=line.cached is not None
        ),
        percent=words.share(line.done, line.size) if arriving and line.pin_state is not PinState.QUEUED else None,
        progress=f"{words.size(line.done)} of {words.size(line.size)}" if arriving else "",
        why=why(line, say),
        facts=_facts(line),
        published=words.past(line.published_at, now),
        by_hand=line.wish is Wish.PIN,
    )


def _has_picture(line: VideoLine) -> bool:
    """Tell whether there is a picture to ask ourselves for: here, or at an origin that shows the video."""
    shown = line.thumbnail_url is not None and line.upstream not in (Upstream.HIDDEN, Upstream.GONE)
    return shown or line.pin_state is PinState.PINNED


def why(line: VideoLine, say: Say) -> str:
    """Return one sentence on why this video is kept, comes, goes or is left alone."""
    if line.trouble is not None and line.pin_state not in (PinState.PINNED, PinState.PINNING):
        return line.trouble.message
    if line.decision is not None and line.decision.reasons:
        return say(first_reason(line.decision))
    if line.wish is Wish.PIN:
        return "Pinned by hand."
    if line.wish is Wish.NEVER:
        return "Barred by hand: no rule may choose it."
    return states.upstream_note(line.upstream) or "Not weighed yet; the next plan will."


def first_reason(decision: Decision) -> Reason:
    """Return the reason that says most about one video: the rule that chose it, else the first."""
    return next((r for r in decision.reasons if r.code is ReasonCode.CHOSEN), decision.reasons[0])


def line_of(record: VideoRecord, pin: Pin | None, decision: Decision | None, cached: Cached | None = None) -> VideoLine:
    """Return the list's line of a video that is known whole."""
    summary = record.summary
    return VideoLine(
        id=summary.id,
        title=summary.title,
        origin=summary.origin,
        channel_title=summary.channel_title,
        duration=summary.duration,
        published_at=summary.published_at,
        views=summary.views,
        upstream=record.upstream,
        thumbnail_url=summary.thumbnail_url,
        decision=decision,
        pin_state=pin.state if pin else None,
        done=pin.done if pin else ByteCount(0),
        size=pin.size if pin else ByteCount(0),
        wish=record.wish,
        trouble=(pin.trouble if pin else None) or record.trouble,
        copies=record.copies,
        cached=None if cached is None else cached.size,
    )


def page(
    record: VideoRecord,
    pin: Pin | None,
    decision: Decision | None,
    given_taken: tuple[int, int],
    beside: Beside,
    now: datetime,
    say: Say,
    elsewhere: Copies | None = None,
    cached: Cached | None = None,
) -> Page:
    """Return everything a video's own page shows. ``given_taken`` are bytes over all time."""
    summary, line = record.summary, line_of(record, pin, decision, cached)
    reasons = tuple(dict.fromkeys(say(reason) for reason in decision.reasons)) if decision else ()
    if record.wish is Wish.NEVER and pin is not None:
        reasons = (*reasons, "Barred by hand: it goes as soon as nobody watches it.")
    order = sorted(record.renditions, key=lambda r: (r.kind is RenditionKind.WEB, -r.height))
    return Page(
        card=card(line, now, say),
        channel_href=f"channels/{record.channels[0]}" if len(record.channels) == 1 else "",
        description=summary.description,
        origin=summary.origin,
        origin_url=summary.url if summary.url.startswith(("https://", "http://")) else "",
        views=words.many(summary.views, "view"),
        likes=words.many(summary.likes, "like"),
        language=summary.language or "",
        category=summary.category or "",
        tags=summary.tags,
        note=states.upstream_note(record.upstream),
        trouble=None if pin is not None and pin.state is PinState.PINNED else line.trouble,
        retry=f"Tried again {words.ahead(pin.next_try, now)}." if pin and pin.next_try else "",
        reasons=reasons or (why(line, say),),
        renditions=tuple(rendition_row(rendition, pin) for rendition in order),
        files=tuple(beside.files),
        player=player(record, pin, beside.captions, beside.board, cached=cached is not None and cached.whole),
        cached="" if cached is None else _cached(cached, now),
        copies=copies.line(elsewhere or Copies(record.copies), now),
        given=words.size(given_taken[0]),
        taken=words.size(given_taken[1]),
        may_pin=record.wish is None and record.upstream is not Upstream.LIVE,
        may_unpin=record.wish is Wish.PIN,
        may_bar=record.wish is not Wish.NEVER,
        barred=record.wish is Wish.NEVER,
    )


def _cached(found: Cached, now: datetime) -> str:
    """Return one sentence on what is here without a promise."""
    what = "It is here" if found.whole else f"A part of it ({words.size(found.size)}) is here"
    return (
        f"{what} because somebody watched it {words.ago(found.watched_at, now)}. It stays while there is room for it, "
        "and goes before anything that is kept has to wait."
    )


def rendition_row(rendition: Rendition, pin: Pin | None) -> RenditionRow:
    """Return a row of the renditions table."""
    return RenditionRow(
        name=rendition.name,
        kind="stream" if rendition.kind is RenditionKind.HLS else "plain file",
        picture=_picture(rendition),
        size=words.size(rendition.size) if rendition.size else "unknown",
        held=_held(rendition, pin),
    )


def tint(ident: str) -> int:
    """Return one of eight tints, always the same for one id."""
    return sum(map(ord, ident)) % 8


def _held(rendition: Rendition, pin: Pin | None) -> Badge:
    if pin is None or rendition.name not in pin.renditions:
        return Badge("not chosen", "calm", "minus")
    return states.pin_badge(pin.state)


def _picture(rendition: Rendition) -> str:
    if not rendition.has_video:
        return "sound only"
    shape = f"{rendition.width}\u00a0×\u00a0{rendition.height}" if rendition.width else f"{rendition.height}\u00a0lines"
    frames = f", {rendition.fps}\u00a0fps" if rendition.fps else ""
    return shape + frames + ("" if rendition.has_audio else ", no\u00a0sound")


def _facts(line: VideoLine) -> tuple[str, ...]:
    facts = []
    decision = line.decision
    chosen = decision is not None and decision.verdict is not Verdict.LEAVE
    if line.size or line.cached:
        facts.append(words.size(line.size or line.cached or 0))
    elif decision is not None and chosen and decision.size:
        facts.append(("about " if decision.estimated else "") + words.size(decision.size))
    if decision is not None and chosen:
        facts.extend(_best(decision.renditions))
    facts.append(f"{words.short_count(line.views)}\u00a0{'view' if line.views == 1 else 'views'}")
    return tuple(facts)


def _best(names: Sequence[str]) -> list[str]:
    pictures = [name for name in names if name[:1].isdigit()]
    return pictures[:1] if pictures else list(names[:1])
