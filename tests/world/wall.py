"""Another time of day for one process: this module runs the command line with a clock on the wall that a test sets.

``python -m tests.world.wall FILE run …``: the seconds in FILE are added to the real time, looked up at each asking. The
program knows nothing of it: ``RealClock.now`` is the one place that asks for the time, and is replaced from outside.
"""

import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from appliance.cli import main
from appliance.clock import RealClock


class Wall:
    """A clock on the wall. Make it before the process, and set it at any time."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @property
    def program(self) -> tuple[str, ...]:
        """What Python is to run for a process that looks at this clock."""
        return ("-m", "tests.world.wall", str(self.file))

    def set(self, moment: datetime) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(str(moment.timestamp() - time.time()))
        os.replace(fresh, self.file)


def _shifted(file: Path) -> datetime:
    return datetime.fromtimestamp(time.time(), UTC) + timedelta(seconds=float(file.read_text()))


if __name__ == "__main__":
    path = Path(sys.argv[1])
    setattr(RealClock, "now", lambda _: _shifted(path))  # noqa: B010 - a method is replaced, which types forbid
    sys.exit(main(sys.argv[2:]))
