"""What an answer must be so that its body is taken: this module holds it to what was asked, in range, size and pace."""

import re
from collections.abc import Callable
from datetime import datetime

from appliance.domain.units import Origin
from appliance.errors import BadAnswer, Unreachable
from appliance.outbound.verdict import error_for, too_large
from appliance.outbound.wire import Reply

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)\Z")
_SLOWEST_BYTES, _SLOWEST_SECONDS = 16 * 1024, 60.0


def require_success(reply: Reply, now: datetime) -> None:
    """Raise OriginError unless all was answered that was asked for."""
    error = error_for(reply.origin, reply.status, reply.headers, now)
    if error is None and reply.status != 206:
        return
    raise error or wrong_range(reply.origin)


def require_range(reply: Reply, first: int, last: int | None, now: datetime) -> None:
    """Raise OriginError unless these bytes come, both included; ``last`` None: all from ``first`` on (RFC 9110 §14)."""
    error = error_for(reply.origin, reply.status, reply.headers, now)
    if error is not None:
        raise error
    match = _CONTENT_RANGE.match(reply.headers.get("content-range", ""))
    if reply.status != 206 or match is None or int(match[1]) != first:
        raise wrong_range(reply.origin)
    end, total = int(match[2]), match[3]
    if last is not None and end != last:
        raise wrong_range(reply.origin)
    if last is None and total != "*" and end != int(total) - 1:
        raise wrong_range(reply.origin)


def require_small(reply: Reply, most: int | None) -> None:
    """Raise BadAnswer where more than ``most`` bytes are announced."""
    if most is not None and reply.length is not None and reply.length > most:
        raise too_large(reply.origin, most)


def wrong_range(origin: Origin) -> BadAnswer:
    """Return the error for other bytes than were asked for."""
    return BadAnswer(
        f"{origin} sent other bytes of the file than were asked for.",
        hint="Its files cannot be fetched in parts; ask its owner to allow byte ranges.",
    )


class Pace:
    """Gives up on a stream that only drips. ``seconds`` is a steady clock."""

    def __init__(self, seconds: Callable[[], float], origin: Origin) -> None:
        self._seconds, self._origin = seconds, origin
        self._since, self._at = seconds(), 0

    def check(self, received: int) -> None:
        """Take so many bytes received in all into account. Raises Unreachable."""
        now = self._seconds()
        if received - self._at >= _SLOWEST_BYTES:
            self._since, self._at = now, received
        elif now - self._since > _SLOWEST_SECONDS:
            raise Unreachable(f"{self._origin} sends so slowly that it will never end.", hint="Seedkeep tries again.")
