"""Planning, measured: ``python -m tests.bench plan``. This module plans 10,000 and 100,000 videos by ten rules.

In a thread, as the planner does it: its seconds of processor and of the clock, which on a machine that does nothing
else are the same, and MB (10^6 bytes) of memory more than before. Then a whole appliance foresees what the ten rules
would come to for the 100,000 videos of its catalogue, while its API is asked; and how each stands to its bar.
"""

import asyncio
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx

from appliance.domain.plan import Observation, Rule, RuleKind, World
from appliance.domain.units import ByteCount, ChannelId, RuleId
from appliance.plan.stillness import stillness
from policies import plan
from tests.bench.catalogue import fill
from tests.policies.worlds import GB, MB, NOW, candidate, rendition, world
from tests.world.box import Box

MANY = 100_000


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


@dataclass
class Spent:
    """What one plan took: seconds of processor and of the clock, and MB of memory."""

    processor: float
    clock: float
    memory: float


async def timed(count: int) -> Spent:
    """Plan once, as the planner does."""
    before, rules = great_world(count), ten_rules(count)
    base, most, done = rss(), 0.0, threading.Event()

    def work() -> float:
        begun = time.thread_time()
        plan(before, rules, NOW)
        spent = time.thread_time() - begun
        done.set()
        return spent

    def watch() -> None:
        nonlocal most
        while not done.wait(0.02):
            most = max(most, rss() - base)

    begun = time.perf_counter()
    with stillness():
        watching = asyncio.create_task(asyncio.to_thread(watch))
        processor = await asyncio.to_thread(work)
        spent = time.perf_counter() - begun
        await watching
    return Spent(processor, spent, most)


def asked_meanwhile(folder: Path) -> None:
    """Have an appliance foresee a plan of its catalogue, and ask its API until it has."""
    fill(folder / "many", MANY)
    box = Box(folder / "many").start()
    try:
        token = (box.data / "cli.token").read_text()
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=box.url, headers=headers, trust_env=False, timeout=300) as client:
            # The first plan of so many writes all of them down; what is asked waits for it.
            client.post("/api/v1/plan/run", params={"limit": 1}).raise_for_status()
            _times(client, "API at rest", stop=_after(5.0))
            rules = [
                {
                    "name": r.name,
                    "kind": str(r.kind),
                    "budget": r.budget,
                    "max_height": r.max_height,
                    "weight": r.weight,
                }
                for r in ten_rules(MANY)
            ]
            done = threading.Event()

            def foresee() -> None:
                begun = time.perf_counter()
                with httpx.Client(base_url=box.url, headers=headers, trust_env=False, timeout=300) as other:
                    answer = other.post("/api/v1/plan/preview", params={"limit": 1}, json={"rules": rules})
                done.set()
                answer.raise_for_status()
                print(
                    f"{'preview of it, from catalogue to answer':44} {time.perf_counter() - begun:8.2f} s", flush=True
                )

            thread = threading.Thread(target=foresee)
            thread.start()
            p99 = _times(client, "API while it is planned", stop=done)
            thread.join()
            _row("API while it is planned: p99", p99, "ms", 50)
    finally:
        box.stop()


def _after(seconds: float) -> threading.Event:
    stop = threading.Event()
    threading.Timer(seconds, stop.set).start()
    return stop


def _times(client: httpx.Client, what: str, stop: threading.Event) -> float:
    """Ask until told to stop; print the milliseconds that half, 99 of 100 and all answers took, and return the 99."""
    took = []
    while not stop.is_set():
        begun = time.perf_counter()
        client.get("/api/v1/status").raise_for_status()
        took.append((time.perf_counter() - begun) * 1000)
        time.sleep(0.01)
    cuts = statistics.quantiles(took, n=100)
    print(
        f"{what + f': {len(took)} answers':44} p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, most {max(took):.1f} ms",
        flush=True,
    )
    return cuts[98]


def _row(what: str, value: float, unit: str, bar: float) -> None:
    verdict = "reached" if value <= bar else "NOT reached"
    print(f"{what:44} {value:8.2f} {unit:3}  to reach {bar:g}: {verdict} ({value / bar:.2f} of it)", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        asked_meanwhile(Path(name))
    for count, bar in ((10_000, 0.5), (MANY, 5.0)):
        spent = asyncio.run(timed(count))
        _row(f"plan of {count:,} videos by ten rules", spent.processor, "s", bar)
        print(f"{'':44} {spent.clock:8.2f} s by the clock", flush=True)
        _row("memory for it, beyond the world's own", spent.memory, "MB", 300)


if __name__ == "__main__":
    main()
