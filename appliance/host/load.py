"""How busy others keep this machine: this module measures it. It reads files: call it in a thread."""

import psutil


class Load:
    """The share of all processors, 0 to 1, that went to others than niced programs since it was last asked."""

    def __init__(self) -> None:
        self._before: tuple[float, float] | None = None

    def share(self) -> float | None:
        """Return it; None the first time. Time that niced programs spend is idle here: they yield."""
        times = psutil.cpu_times()
        total = float(sum(times[:8]))  # beyond are guests, which user and nice contain already
        busy = total - float(times.idle) - float(getattr(times, "nice", 0.0)) - float(getattr(times, "iowait", 0.0))
        before, self._before = self._before, (busy, total)
        if before is None or total <= before[1]:
            return None
        return min(1.0, max(0.0, (busy - before[0]) / (total - before[1])))
