"""Whom we believe about copies elsewhere, and for how long: this module sums up what all say. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance.domain.plan import Copies, CopyReport, CopySource
from appliance.domain.video import Upstream
from appliance.store.origins import OriginState

SEEN_TRUST = timedelta(hours=6)
"""How long a count of a tracker's or of peers stands; after that it is unknown."""

ORIGIN_TRUST = timedelta(days=2)
"""How long an origin that answered, and its list of mirrors, stand."""

DOWN_AFTER = timedelta(hours=6)
"""An origin that has failed for so long is no copy until it answers; a shorter spell moves no number."""

PROOF_TRUST = timedelta(days=14)
"""How long a host that answered a challenge counts as verified, and one that failed it does not count."""

LIAR_TRUST = timedelta(days=2)
"""How long a peer that failed is taken off the count of peers: it may have left since."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row: a count, or the end of a challenge of ``host``."""

    source: CopySource
    host: str
    count: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Shown:
    """What the catalogue says of a video's copies. ``mirrors`` are hosts, known as of ``detail_at``."""

    upstream: Upstream
    upstream_since: datetime
    detail_at: datetime | None
    mirrors: tuple[str, ...]
    origin: OriginState


def summed(lines: Sequence[Line], shown: Shown, now: datetime) -> Copies:
    """Return what all sources together come to. What is older than it is trusted counts as unknown."""
    ended = {(line.source, line.host): line for line in lines if line.host and now - line.at < PROOF_TRUST}
    failed = {key for key, line in ended.items() if not line.count}
    origin = _origin(shown, ended, now)
    counts = {
        line.source: CopyReport(line.source, line.count, line.at)
        for line in lines
        if not line.host and now - line.at < SEEN_TRUST
    }
    reports = [counts[source] for source in (CopySource.TRACKER, CopySource.PEERS) if source in counts]
    live = None
    if reports:
        liars = sum(source is CopySource.PEERS and now - ended[source, host].at < LIAR_TRUST for source, host in failed)
        live = max(0, max(report.count for report in reports) - liars)
    if shown.mirrors and shown.detail_at is not None and now - shown.detail_at < ORIGIN_TRUST:
        good = sum((CopySource.MIRRORS, host) not in failed for host in shown.mirrors)
        reports.append(CopyReport(CopySource.MIRRORS, good, shown.detail_at))
        live = (live or 0) + good
    if origin is not None:
        reports.append(origin)
        live = (live or 0) + origin.count
    gone = origin is not None and not origin.count
    proved = {host for (source, host), line in ended.items() if line.count and not (source == "origin" and gone)}
    return Copies(live, len(proved), tuple(reports))


def _origin(shown: Shown, ended: Mapping[tuple[CopySource, str], Line], now: datetime) -> CopyReport | None:
    """Return whether the origin is a copy, None where it was not heard of for long."""
    state = shown.origin
    if shown.upstream in (Upstream.GONE, Upstream.HIDDEN):
        return CopyReport(CopySource.ORIGIN, 0, shown.upstream_since)
    if shown.upstream is not Upstream.PUBLISHED:
        return None
    if state.failing is not None and now - state.failing >= DOWN_AFTER:
        return CopyReport(CopySource.ORIGIN, 0, state.failing)
    wrong = next((line for (source, _), line in ended.items() if source is CopySource.ORIGIN and not line.count), None)
    if wrong is not None:
        return CopyReport(CopySource.ORIGIN, 0, wrong.at)
    if state.last_ok is None or now - state.last_ok >= ORIGIN_TRUST:
        return None
    return CopyReport(CopySource.ORIGIN, 1, state.last_ok)
