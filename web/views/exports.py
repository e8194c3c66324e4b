"""Exports for a person: how far each is, what it takes, where it lies. This module finds the words."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from appliance.domain.channel import Trouble
from appliance.domain.export import Export, ExportState
from web.views import words
from web.views.states import Badge


@dataclass(frozen=True, slots=True)
class ExportRow:
    """``percent`` is None once nothing goes on any more."""

    title: str
    badge: Badge
    percent: float | None
    progress: str
    path: str
    when: words.Moment
    left: tuple[str, ...]
    trouble: Trouble | None


def rows(exports: Iterable[Export], now: datetime) -> tuple[ExportRow, ...]:
    return tuple(_row(one, now) for one in exports)


def busy(exports: Iterable[Export]) -> bool:
    """Tell whether anything goes on, so that the page looks again."""
    return any(one.state in (ExportState.QUEUED, ExportState.RUNNING) for one in exports)


def _row(one: Export, now: datetime) -> ExportRow:
    amount = one.linked + one.copied + one.present
    how = f", {words.size(one.copied)} of it copied" if one.copied else ", taking no room of its own"
    size = f" · {words.size(amount)}{how}" if amount else ""
    going = one.state in (ExportState.QUEUED, ExportState.RUNNING)
    return ExportRow(
        title=one.title,
        badge=_BADGES[one.state],
        percent=words.share(one.done, one.videos) if going else None,
        progress=f"{words.count(one.done)} of {words.many(one.videos, 'video')}{size}",
        path=one.path,
        when=words.past(one.begun_at, now),
        left=one.left,
        trouble=one.trouble,
    )


_BADGES = {
    ExportState.QUEUED: Badge("queued", "calm", "clock"),
    ExportState.RUNNING: Badge("being written", "busy", "down"),
    ExportState.DONE: Badge("done", "good", "check"),
    ExportState.FAILED: Badge("failed", "bad", "alert"),
}
