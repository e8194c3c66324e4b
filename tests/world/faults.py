"""What can go wrong at an origin: this module says which request is spoilt, and how."""

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase


class FaultKind(StrEnum):
    STATUS = "status"
    """Answer ``status`` with ``body`` and ``headers``."""
    DELAY = "delay"
    """Wait ``seconds``, then answer as usual."""
    STALL = "stall"
    """Send ``after`` bytes of the body, then nothing more, with the connection open."""
    CUT = "cut"
    """Send ``after`` bytes of the body, then close the connection."""
    REDIRECT = "redirect"
    """302 to ``to``; without it to the same path: a loop."""
    ENDLESS = "endless"
    """Send the body again and again, without a Content-Length, until the client goes."""
    TRUNCATED = "truncated"
    """Send the first ``after`` bytes as if they were the whole body."""
    REPLACED = "replaced"
    """Send ``body`` instead."""
    CORRUPT = "corrupt"
    """Flip the bits of the byte at offset ``after`` of the body; of every byte where ``after`` is negative."""
    HUGE = "huge"
    """Claim ``after`` bytes (10 GB where 0) and send zeros until the client goes."""
    NO_RANGES = "no_ranges"
    """Answer a Range with the whole body."""
    DEAF = "deaf"
    """Close the connection without an answer."""


@dataclass(slots=True)
class Fault:
    """One fault on every path (with its query) that ``pattern`` fits, as in a shell: ``/api/v1/videos/*``.

    ``times``: how many requests it spoils, None for all. ``skip``: how many it lets pass first. ``hits`` counts.
    """

    pattern: str
    kind: FaultKind
    status: int = 500
    body: bytes = b""
    headers: dict[str, str] | None = None
    seconds: float = 0.0
    after: int = 0
    to: str = ""
    times: int | None = None
    skip: int = 0
    hits: int = 0

    def spoils(self, path: str, target: str) -> bool:
        """Whether this request is spoilt; counts it."""
        if not (fnmatchcase(path, self.pattern) or fnmatchcase(target, self.pattern)) or self.times == 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        self.hits += 1
        return True
