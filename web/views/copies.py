"""Copies of a video elsewhere, for a person: how many, who proved it, who says so and how long ago. This module has the
words.
"""

from datetime import datetime

from appliance.domain.plan import Copies, CopyReport, CopySource
from web.views import words


def line(copies: Copies, now: datetime) -> str:
    """Return one line: ``3, 2 of them verified (2 by the tracker, an hour ago; the origin, 5 minutes ago)``."""
    if copies.live is None:
        return "unknown"
    told = "none known" if copies.live == 0 else words.count(copies.live)
    proof = f", {words.count(copies.verified)} verified" if copies.verified else ""
    said = "; ".join(f"{_said(report)}, {words.ago(report.at, now)}" for report in copies.reports)
    return f"{told}{proof} ({said})" if said else told + proof


def _said(report: CopyReport) -> str:
    number = words.count(report.count)
    match report.source:
        case CopySource.TRACKER:
            return f"{number} by the tracker"
        case CopySource.PEERS:
            return f"{number} by peers met"
        case CopySource.MIRRORS:
            return f"{number} by the origin's list of mirrors"
        case CopySource.ORIGIN:
            return "the origin" if report.count else "not the origin"
