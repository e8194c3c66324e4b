"""The floor under the library's disk: this module says how much room there is above it."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from appliance.domain.plan import Disk
from appliance.domain.units import ByteCount
from appliance.errors import LibraryMissing, NoSpace
from appliance.library.atomic import naming_disk_errors


@dataclass(frozen=True, slots=True)
class Floor:
    """Free space that is never used: the larger of ``size`` bytes and ``percent`` of the whole disk."""

    size: ByteCount
    percent: float

    def on(self, total: int) -> ByteCount:
        """Return the floor in bytes on a disk of ``total`` bytes."""
        return ByteCount(max(self.size, int(total * self.percent / 100)))


class Space:
    """Room on the disk that holds ``path``. ``reconfigure`` takes a new floor at once."""

    def __init__(self, path: Path, floor: Floor) -> None:
        self._path, self._floor = path, floor

    def reconfigure(self, floor: Floor) -> None:
        self._floor = floor

    async def disk(self, used: ByteCount) -> Disk:
        """Return the disk now; ``used`` is what the library takes of it. Raises DiskError."""
        total, free = await asyncio.to_thread(self._measure)
        return Disk(total=ByteCount(total), free=ByteCount(free), floor=self._floor.on(total), used=used)

    async def room(self) -> ByteCount:
        """Return the bytes that may still be written, 0 at the floor or below it. Raises DiskError."""
        total, free = await asyncio.to_thread(self._measure)
        return ByteCount(max(0, free - self._floor.on(total)))

    async def require(self, size: ByteCount) -> None:
        """Raise NoSpace unless ``size`` more bytes fit above the floor."""
        room = await self.room()
        if size > room:
            raise NoSpace(
                "The disk has reached the free space that is never used.",
                hint="It goes on by itself once there is room: free some space, or lower the floor in the settings.",
            )

    def _measure(self) -> tuple[int, int]:
        try:
            with naming_disk_errors("The disk's free space cannot be read"):
                found = os.statvfs(self._path)
        except FileNotFoundError as error:
            raise LibraryMissing("The library folder is not there.", hint="Is the disk mounted?") from error
        return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
