"""How much was taken for each video in the last 24 hours: this module notices one that is fetched again and again.

A broken disk, a hostile peer or a bug of ours could otherwise take the same bytes for ever, and always from somebody.
"""

from collections.abc import Container
from datetime import datetime, timedelta

from appliance.domain.units import ByteCount, VideoId
from appliance.errors import SeedkeepError

TIMES = 3
LEAST = ByteCount(64 * 1024 * 1024)
"""A small video may be fetched more often: what a kill or a bad peer costs does not grow with its size."""
WINDOW = timedelta(hours=24)
_HOUR = timedelta(hours=1)


class DownloadLoop(SeedkeepError):
    """More was taken for a video than its bytes explain, and it is not whole."""

    code = "download_loop"

    def __init__(self, taken: ByteCount, size: ByteCount) -> None:
        super().__init__(
            f"{taken // (1 << 20)} MiB were taken for these {size // (1 << 20)} MiB within a day, and still not all of "
            "them are here.",
            hint="It is left alone for a day. Is the disk sound? Else its publisher has to look at its files.",
        )


class Takings:
    """Counts by the hour."""

    def __init__(self) -> None:
        self._taken: dict[VideoId, list[tuple[datetime, int]]] = {}

    def note(self, video: VideoId, count: int, now: datetime) -> None:
        """``count`` bytes came, usable or not."""
        if count <= 0:
            return
        hours = self._taken.setdefault(video, [])
        if hours and now - hours[-1][0] < _HOUR:
            hours[-1] = (hours[-1][0], hours[-1][1] + count)
        else:
            hours.append((now, count))

    def forget(self, video: VideoId) -> None:
        """It is whole."""
        self._taken.pop(video, None)

    def keep(self, videos: Container[VideoId]) -> None:
        """Forget all others: nobody wants them any more."""
        self._taken = {video: hours for video, hours in self._taken.items() if video in videos}

    def trouble(self, video: VideoId, size: ByteCount, now: datetime) -> DownloadLoop | None:
        """Return what is to be said of a video of ``size`` bytes that is not whole, None while all is well."""
        hours = [(at, n) for at, n in self._taken.get(video, ()) if now - at < WINDOW]
        if not hours:
            self._taken.pop(video, None)
            return None
        self._taken[video] = hours
        taken = ByteCount(sum(n for _, n in hours))
        return DownloadLoop(taken, size) if taken > max(TIMES * size, LEAST) else None
