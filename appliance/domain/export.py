"""An export: a channel's held videos as a folder that plays without Seedkeep. This module says what one is."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appliance.domain.channel import Trouble
from appliance.domain.units import ByteCount, ChannelId


class ExportState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Export:
    """``path`` is the folder's. ``done`` counts ``videos``; bytes: ``linked`` share the disk's blocks with the library,
    ``copied`` take room of their own, ``present`` were there already. ``left`` names what could not be exported.
    """

    folder: str
    path: str
    channel: ChannelId
    title: str
    state: ExportState
    begun_at: datetime
    videos: int = 0
    done: int = 0
    linked: ByteCount = ByteCount(0)
    copied: ByteCount = ByteCount(0)
    present: ByteCount = ByteCount(0)
    left: tuple[str, ...] = ()
    trouble: Trouble | None = None
