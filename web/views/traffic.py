"""Bytes given and taken, day by day, for the plot and for its table. This module adds ledger entries up."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from appliance.domain.traffic import TrafficClass
from appliance.domain.units import ByteCount
from web.views import words

ONE_DAY = timedelta(days=1)
SPAN = 30
"""Days that the plots show."""

NAMES = {
    TrafficClass.INTERNET_PEERS: "Internet peers",
    TrafficClass.LAN_PEERS: "Peers and servers on this network",
    TrafficClass.LAN_PLAYERS: "Screens on this network",
    TrafficClass.WAN_PLAYERS: "Screens elsewhere",
    TrafficClass.ORIGINS: "Origins",
}


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    key: str
    up: str
    down: str
    up_share: float
    down_share: float


@dataclass(frozen=True, slots=True)
class Day:
    name: str
    up: str
    down: str


@dataclass(frozen=True, slots=True)
class History:
    """``plot`` is JSON for the plot: days as Unix seconds, then bytes up and down, in all and by class."""

    up: str
    down: str
    ratio: str
    rows: tuple[Row, ...]
    days: tuple[Day, ...]
    plot: str
    empty: bool


Days = Mapping[date, Mapping[TrafficClass, tuple[ByteCount, ByteCount]]]
"""Bytes (up, down) by UTC day and class, as the ledger answers them."""


def history(ledger: Days, today: date, span: int = SPAN) -> History:
    """Return the last ``span`` UTC days up to ``today``, days without traffic included."""
    days = [today - timedelta(days=back) for back in range(span - 1, -1, -1)]
    up = {kind: [_pair(ledger, day, kind)[0] for day in days] for kind in TrafficClass}
    down = {kind: [_pair(ledger, day, kind)[1] for day in days] for kind in TrafficClass}
    all_up = [sum(up[kind][index] for kind in TrafficClass) for index in range(span)]
    all_down = [sum(down[kind][index] for kind in TrafficClass) for index in range(span)]
    total_up, total_down = sum(all_up), sum(all_down)
    return History(
        up=words.size(total_up),
        down=words.size(total_down),
        ratio=_ratio(total_up, total_down),
        rows=tuple(_row(kind, sum(up[kind]), sum(down[kind]), total_up, total_down) for kind in TrafficClass),
        days=tuple(
            Day(words.short_day(day), words.size(all_up[i]), words.size(all_down[i]))
            for i, day in reversed(list(enumerate(days)))
        ),
        plot=_plot(days, up, down),
        empty=total_up == 0 and total_down == 0,
    )


def _pair(ledger: Days, day: date, kind: TrafficClass) -> tuple[int, int]:
    return ledger.get(day, {}).get(kind, (ByteCount(0), ByteCount(0)))


def _row(kind: TrafficClass, up: int, down: int, total_up: int, total_down: int) -> Row:
    return Row(
        name=NAMES[kind],
        key=kind.value,
        up=words.size(up),
        down=words.size(down),
        up_share=words.share(up, total_up),
        down_share=words.share(down, total_down),
    )


def _ratio(up: int, down: int) -> str:
    if down <= 0 or 10 * up < down:
        return ""
    return f"{up / down:.1f}".removesuffix(".0")


def _plot(
    days: Sequence[date], up: Mapping[TrafficClass, Sequence[int]], down: Mapping[TrafficClass, Sequence[int]]
) -> str:
    epoch = date(1970, 1, 1)
    series = [
        {"name": NAMES[kind], "key": kind.value, "up": up[kind], "down": down[kind]}
        for kind in TrafficClass
        if any(up[kind]) or any(down[kind])
    ]
    return json.dumps({"days": [(day - epoch).days * words.DAY for day in days], "series": series})
