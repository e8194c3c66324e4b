"""The list of videos: what is asked of it in an address, and how a page of it is shown. This module has both ways."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from appliance.domain.catalogue import VideoFilter, VideoPage, VideoSort
from appliance.domain.pin import PinState
from appliance.domain.plan import Verdict
from appliance.domain.units import ChannelId
from appliance.domain.video import Upstream
from web.views import video, words
from web.views.video import Card, Say

PER_PAGE = 24

CACHED = "cached"
STATES: dict[str, tuple[str, PinState | Verdict | Upstream | str | None]] = {
    "": ("any", None),
    "pinned": ("kept", PinState.PINNED),
    "pinning": ("arriving", PinState.PINNING),
    "queued": ("queued", PinState.QUEUED),
    "waiting": ("waiting", PinState.WAITING),
    "failed": ("failed", PinState.FAILED),
    "missing": ("missing", PinState.MISSING),
    "wanted": ("wanted", Verdict.PIN),
    "going": ("going", Verdict.RELEASE),
    "skipped": ("skipped", Verdict.LEAVE),
    CACHED: ("cached", CACHED),
    "gone": ("gone at the origin", Upstream.GONE),
}
SORTS = {
    VideoSort.NEWEST: "newest first",
    VideoSort.OLDEST: "oldest first",
    VideoSort.VIEWS: "most viewed",
    VideoSort.SIZE: "largest",
    VideoSort.TITLE: "by title",
    VideoSort.RANK: "as planned",
}


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    label: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Question:
    """What a page of videos was asked for, cleaned of what makes no sense."""

    query: str
    channel: str
    state: str
    sort: VideoSort
    page: int

    @property
    def filter(self) -> VideoFilter:
        wanted = STATES[self.state][1]
        return VideoFilter(
            channel=ChannelId(self.channel) if self.channel else None,
            verdict=wanted if isinstance(wanted, Verdict) else None,
            pin_state=wanted if isinstance(wanted, PinState) else None,
            upstream=wanted if isinstance(wanted, Upstream) else None,
            cached=wanted == CACHED,
            text=self.query,
            sort=self.sort,
            limit=PER_PAGE,
            offset=(self.page - 1) * PER_PAGE,
        )

    def address(self, page: int) -> str:
        """Return the address of one page of the same question, below the mount."""
        parts = {
            "q": self.query,
            "channel": self.channel,
            "state": self.state,
            "sort": "" if self.sort is VideoSort.NEWEST else self.sort.value,
            "page": str(page) if page > 1 else "",
        }
        query = urlencode({name: value for name, value in parts.items() if value})
        return f"videos?{query}" if query else "videos"


@dataclass(frozen=True, slots=True)
class Shelf:
    query: str
    channels: tuple[Choice, ...]
    states: tuple[Choice, ...]
    sorts: tuple[Choice, ...]
    cards: tuple[Card, ...]
    found: str
    filtered: bool
    here: str
    page: int
    pages: int
    previous: str
    next: str


def question(asked: Mapping[str, str]) -> Question:
    """Read an address's query; anything unknown counts as not asked."""
    state, sort, page = asked.get("state", ""), asked.get("sort", ""), asked.get("page", "")
    return Question(
        query=asked.get("q", "").strip()[:200],
        channel=asked.get("channel", "")[:64],
        state=state if state in STATES else "",
        sort=VideoSort(sort) if sort in list(VideoSort) else VideoSort.NEWEST,
        page=min(100_000, max(1, int(page))) if page.isascii() and page.isdigit() else 1,
    )


def shelf(asked: Question, found: VideoPage, titles: Mapping[ChannelId, str], now: datetime, say: Say) -> Shelf:
    """Return a page of the list, with its filters as they stand."""
    pages = max(1, -(-found.total // PER_PAGE))
    named = sorted(titles.items(), key=lambda item: item[1].casefold())
    return Shelf(
        query=asked.query,
        channels=(Choice("", "all", not asked.channel), *(Choice(c, title, c == asked.channel) for c, title in named)),
        states=tuple(Choice(key, label, key == asked.state) for key, (label, _) in STATES.items()),
        sorts=tuple(Choice(sort.value, label, sort is asked.sort) for sort, label in SORTS.items()),
        cards=tuple(video.card(line, now, say) for line in found.items),
        found=words.many(found.total, "video"),
        filtered=bool(asked.query or asked.channel or asked.state or asked.page > 1),
        here=asked.address(asked.page),
        page=asked.page,
        pages=pages,
        previous=asked.address(asked.page - 1) if asked.page > 1 else "",
        next=asked.address(asked.page + 1) if asked.page < pages else "",
    )
