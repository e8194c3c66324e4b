"""The whole catalogue as a policy sees it, in a few queries. This module answers ``plan.census``."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlmodel import Session, col, select

from appliance.domain.channel import WhenGone
from appliance.domain.pin import PinState, Wish
from appliance.domain.plan import Candidate, Copies, Decision, Held, Observation, RuleKind
from appliance.domain.units import ByteCount, ChannelId, Origin, RenditionName, VideoId
from appliance.domain.video import Rendition, Upstream
from appliance.store import copies, observations, origins, rules, trust
from appliance.store.columns import unpack
from appliance.store.records import rendition_of
from appliance.store.tables import ChannelRow, DecisionRow, ListedRow, PinRow, RenditionRow, VideoRow

_NOT_SHOWN = (Upstream.GONE.value, Upstream.HIDDEN.value)


_COLUMNS: tuple[Any, ...] = (
    VideoRow.id,
    VideoRow.title,
    VideoRow.published_at,
    VideoRow.duration,
    VideoRow.views,
    VideoRow.upstream,
    VideoRow.wish,
    VideoRow.is_live,
    VideoRow.language,
    VideoRow.category,
    VideoRow.tags,
    VideoRow.nsfw,
    VideoRow.trend_rank,
    VideoRow.origin,
    VideoRow.upstream_since,
    VideoRow.detail_at,
    VideoRow.mirrors,
)


def candidates(
    session: Session, history_since: datetime, leased: frozenset[VideoId], web_videos: bool, now: datetime
) -> tuple[Candidate, ...]:
    """Return every video that a channel of ours lists or listed, or that we hold, or that a person spoke of.

    ``web_videos`` asks for plain MP4 besides HLS everywhere. Views over time are read only where a rule asks for them.
    """
    world = _World(
        listed=_listed(session),
        channels={r.id: (r.when_gone, r.web_videos) for r in session.exec(select(ChannelRow))},
        held=_held(session),
        renditions=_renditions(session),
        seen=_history(session, history_since),
        copies=_Copies(session, now),
        leased=leased,
        web_videos=web_videos,
    )
    found = (world.candidate(row) for row in session.exec(select(*_COLUMNS)))
    return tuple(one for one in found if one is not None)


@dataclass(frozen=True, slots=True)
class _World:
    """All that is known beside the videos' own table, by their ids; ``channels`` have what they say for when a video is
    gone, and whether they want plain MP4."""

    listed: Mapping[VideoId, frozenset[ChannelId]]
    channels: Mapping[str, tuple[str, bool]]
    held: Mapping[VideoId, Held]
    renditions: Mapping[VideoId, tuple[Rendition, ...]]
    seen: Mapping[VideoId, tuple[Observation, ...]]
    copies: "_Copies"
    leased: frozenset[VideoId]
    web_videos: bool

    def candidate(self, row: Any) -> Candidate | None:
        """Return the video of a row of ``_COLUMNS``, None where it is nobody's."""
        ident, title, published_at, duration, views, upstream, wish, is_live = row[:8]
        language, category, tags, nsfw, trend_rank, origin, upstream_since, detail_at, mirrors = row[8:]
        video = VideoId(ident)
        mine = self.listed.get(video, frozenset())
        if not mine and wish is None and video not in self.held:
            return None
        settings = [self.channels[c] for c in mine if c in self.channels]
        stands = Upstream.LIVE if is_live else Upstream(upstream)
        return Candidate(
            id=video,
            title=title,
            channels=mine,
            published_at=published_at,
            duration=duration,
            views=views,
            upstream=stands,
            renditions=self.renditions.get(video, ()),
            history=self.seen.get(video, ()),
            copies=self.copies(video, stands, upstream_since, detail_at, mirrors, Origin(origin)),
            held=self.held.get(video),
            wish=None if wish is None else Wish(wish),
            gone_release=upstream in _NOT_SHOWN
            and bool(settings)
            and all(when == WhenGone.RELEASE.value for when, _ in settings),
            leased=video in self.leased,
            web_videos=self.web_videos or any(web for _, web in settings),
            language=language,
            category=category,
            tags=_tags(tags),
            nsfw=nsfw,
            trend_rank=trend_rank,
            origin_failing=self.copies.failing(Origin(origin)),
        )


class _Copies:
    """Copies elsewhere of one video after the other; what is the same for many is made once."""

    def __init__(self, session: Session, now: datetime) -> None:
        self._lines, self._states, self._now = copies.lines(session), origins.states(session), now
        self._plain: dict[Origin, Copies] = {}

    def failing(self, origin: Origin) -> datetime | None:
        return self._states.get(origin, origins.UNHEARD).failing

    def __call__(
        self,
        video: VideoId,
        upstream: Upstream,
        since: datetime,
        detail_at: datetime | None,
        mirrors: str,
        origin: Origin,
    ) -> Copies:
        told = self._lines.get(video, ())
        plain = not told and mirrors == "[]" and upstream is Upstream.PUBLISHED
        if plain and (known := self._plain.get(origin)) is not None:
            return known
        state = self._states.get(origin, origins.UNHEARD)
        hosts = copies.mirror_hosts(mirrors, origin)
        found = trust.summed(told, trust.Shown(upstream, since, detail_at, hosts, state), self._now)
        if plain:
            self._plain[origin] = found
        return found


def _listed(session: Session) -> dict[VideoId, frozenset[ChannelId]]:
    """Return the channels that list a video or did: what vanished from a listing is still its channel's."""
    found: dict[VideoId, set[ChannelId]] = defaultdict(set)
    for channel, video in session.exec(select(ListedRow.channel, ListedRow.video)):
        found[VideoId(video)].add(ChannelId(channel))
    return {video: frozenset(ids) for video, ids in found.items()}


def _tags(text: str) -> frozenset[str]:
    return frozenset(tag.casefold() for tag in unpack(tuple[str, ...], text)) if text != "[]" else frozenset()


def _held(session: Session) -> dict[VideoId, Held]:
    query = (
        select(PinRow, DecisionRow.body)
        .outerjoin(DecisionRow, col(DecisionRow.video) == col(PinRow.video))
        .where(PinRow.state != PinState.RELEASING.value)
    )
    return {
        VideoId(r.video): Held(
            renditions=unpack(tuple[RenditionName, ...], r.renditions),
            size=ByteCount(r.size),
            done=ByteCount(r.done),
            pinned_at=r.pinned_at,
            rule=unpack(Decision, body).rule if body else None,
        )
        for r, body in session.exec(query)
    }


def _renditions(session: Session) -> dict[VideoId, tuple[Rendition, ...]]:
    found: dict[VideoId, list[Rendition]] = defaultdict(list)
    # Columns and not rows: there may be hundreds of thousands, and an object of the mapper's for each takes longest.
    columns = select(*RenditionRow.__table__.columns)  # type: ignore[attr-defined]
    columns = columns.order_by(col(RenditionRow.video), col(RenditionRow.name))
    for row in session.execute(columns, execution_options={"yield_per": 2000}):
        found[VideoId(row.video)].append(rendition_of(cast(RenditionRow, row)))
    return {video: tuple(them) for video, them in found.items()}


def _history(session: Session, since: datetime) -> dict[VideoId, tuple[Observation, ...]]:
    if not any(r.kind is RuleKind.TRENDING and not r.paused for r in rules.every(session)):
        return {}
    return observations.recent(session, since)
