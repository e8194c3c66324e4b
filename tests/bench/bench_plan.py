"""Planning, measured: ``python -m tests.bench plan``. This module plans 10,000 and 100,000 videos by ten rules.

Seconds of the planning thread, MB (10^6 bytes) of memory more than before, and how each stands to its bar.
"""

import threading
import time
from datetime import timedelta
from pathlib import Path

from appliance.domain.plan import Observation, Rule, RuleKind, World
from appliance.domain.units import ByteCount, ChannelId, RuleId
from policies import plan
from tests.policies.worlds import GB, MB, NOW, candidate, rendition, world


def rss() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def great_world(count: int) -> World:
    """Return so many videos of a hundred channels, a tenth of them observed over time, nothing held."""
    videos = []
    for n in range(count):
        views = n * 7919 % 10_007
        seen = tuple(Observation(NOW - timedelta(hours=12 * k), max(0, views - k)) for k in range(8, -1, -1))
        size = (n % 90 + 10) * MB
        videos.append(
            candidate(
                f"v{n:06}",
                days=1 + n % 4000 / 10,
                views=views,
                channels=frozenset({ChannelId(f"c{n % 100:02}")}),
                renditions=(rendition(1080, size), rendition(720, size // 2), rendition(480, size // 4)),
                history=seen if n % 10 == 0 else (),
            )
        )
    return world(*videos, free=count * 20 * MB, floor=2 * GB)


def ten_rules(count: int) -> list[Rule]:
    kinds = [kind for kind in RuleKind if kind is not RuleKind.LAST_N] * 2
    return [
        Rule(
            RuleId(f"r{n}"),
            f"Rule {n}",
            kind,
            budget=ByteCount(count * (n + 1) * MB // 2),
            max_height=None if n % 2 else 720,
            weight=1.0 + n / 10,
        )
        for n, kind in enumerate(kinds)
    ]


def timed(count: int) -> tuple[float, float]:
    """Return the seconds and MB that one plan in a thread takes."""
    before, rules = great_world(count), ten_rules(count)
    base, most = rss(), 0.0
    done = threading.Event()

    def work() -> None:
        plan(before, rules, NOW)
        done.set()

    begun = time.perf_counter()
    thread = threading.Thread(target=work)
    thread.start()
    while not done.wait(0.02):
        most = max(most, rss() - base)
    spent = time.perf_counter() - begun
    thread.join()
    return spent, most


def _row(what: str, value: float, unit: str, bar: float) -> None:
    verdict = "reached" if value <= bar else "NOT reached"
    print(f"{what:44} {value:8.2f} {unit:3}  to reach {bar:g}: {verdict} ({value / bar:.2f} of it)", flush=True)


def main() -> None:
    for count, bar in ((10_000, 0.5), (100_000, 5.0)):
        spent, most = timed(count)
        _row(f"plan of {count:,} videos by ten rules", spent, "s", bar)
        _row("memory for it, beyond the world's own", most, "MB", 300)


if __name__ == "__main__":
    main()
