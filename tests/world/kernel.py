"""What this machine's kernel and file systems can do: this module asks them, for tests of what stands on it."""

import os
from pathlib import Path


def knows_its_page_cache(folder: Path) -> bool:
    """Tell whether it can be said what of a file in ``folder`` is in memory: cachestat, and RWF_NOWAIT there."""
    release = os.uname().release.split("-")[0].split(".")
    if (int(release[0]), int(release[1])) < (6, 5):
        return False
    probe = folder / "probe"
    probe.write_bytes(b"x")
    with open(probe, "rb") as file:
        try:
            return os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT) == 1
        except OSError:
            return False
        finally:
            probe.unlink()
