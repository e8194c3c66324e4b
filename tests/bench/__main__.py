"""All benchmarks: ``python -m tests.bench [media|film|swarm|house|screens|plan|trace]``. This module calls them."""

import sys

from tests.bench import bench_film, bench_house, bench_media, bench_plan, bench_screens, bench_swarm
from tests.policies import trace

BENCHES = {
    "media": bench_media.main,
    "film": bench_film.main,
    "swarm": lambda: bench_swarm.main([]),
    "house": bench_house.main,
    "screens": lambda: bench_screens.main([]),
    "plan": bench_plan.main,
    "trace": trace.main,
}


def main(chosen: list[str]) -> int:
    unknown = [name for name in chosen if name not in BENCHES]
    if unknown:
        print(f"There is no benchmark {unknown[0]}: {', '.join(BENCHES)}.", file=sys.stderr)
        return 2
    for name in chosen or BENCHES:
        print(f"== {name}", flush=True)
        BENCHES[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
