"""How much of the disk's room others took lately: this module remembers the room that pins had, hour by hour.

What pins have and what is free beside them only changes together when somebody else writes or deletes. A copy that is
made and deleted again should cost us nothing; what stays longer than ``LONG`` is there to stay.
"""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from appliance.domain.plan import Candidate, Disk
from appliance.domain.units import ByteCount

LONG = timedelta(hours=12)
NAME = "room_lately"
"""Under which it is kept over restarts."""
_COMES_AND_GOES = 16 << 20
"""So many bytes on every disk; on a small one its 64th part."""


def room_of(disk: Disk, videos: Iterable[Candidate]) -> int:
    """Return the bytes that pins have and could have: files that are being deleted are neither until they are gone."""
    return int(disk.free) + sum(int(video.held.done) for video in videos if video.held is not None)


class RoomLately:
    """What was seen of a disk of one size; another one's is forgotten."""

    def __init__(self) -> None:
        self._total = 0
        self._before: int | None = None
        self._hours: dict[datetime, int] = {}

    def note(self, disk: Disk, room: int, now: datetime) -> ByteCount:
        """Note the room there is now; return what of it others took within ``LONG``, in bytes.

        Of two looks in a row the smaller counts: a single one may fall between a change of ours and its record.
        """
        if disk.total != self._total:
            self._total, self._before, self._hours = int(disk.total), None, {}
        hour = now.replace(minute=0, second=0, microsecond=0)
        self._hours = {at: most for at, most in self._hours.items() if hour - LONG <= at <= hour}
        if self._before is not None:
            self._hours[hour] = max(min(room, self._before), self._hours.get(hour, 0))
        self._before = room
        lost = max(self._hours.values(), default=0) - room
        return ByteCount(lost if lost >= self._noteworthy else 0)

    @property
    def _noteworthy(self) -> int:
        return max(1, min(_COMES_AND_GOES, self._total // 64))

    def written(self) -> str:
        """Return it as JSON; little changes where little changed."""
        step = self._noteworthy
        hours = {at.isoformat(): most // step * step for at, most in self._hours.items()}
        return json.dumps({"total": self._total, "hours": hours})

    def read(self, text: str) -> None:
        """Go on from what was ``written``; what cannot be read is as nothing."""
        try:
            found: Any = json.loads(text)
            hours = {datetime.fromisoformat(at): int(most) for at, most in found["hours"].items()}
            self._total, self._hours = int(found["total"]), {at: n for at, n in hours.items() if at.tzinfo is not None}
        except (ValueError, KeyError, TypeError, AttributeError):
            self._total, self._hours = 0, {}
