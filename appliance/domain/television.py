"""A copy for televisions: a video again in a form that a common one plays. This module says how far one is."""

from dataclasses import dataclass
from enum import StrEnum

from appliance.domain.channel import Trouble
from appliance.domain.shelf import PlayableFile
from appliance.domain.units import ByteCount


class CopyState(StrEnum):
    WAITING = "waiting"
    MAKING = "making"
    RESTING = "resting"
    """Begun, and stopped for a while: a screen plays, or the machine is busy."""
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TelevisionCopy:
    """How far the copy of one video is. ``percent`` while it is made, ``size`` in bytes once it is ready, ``trouble``
    where it cannot be made."""

    state: CopyState
    percent: float | None = None
    size: ByteCount | None = None
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class HeldCopy:
    """A copy that can be played: its file, and the size of its pictures in pixels as shown, 0 where not known."""

    path: str
    file: PlayableFile
    width: int = 0
    height: int = 0
