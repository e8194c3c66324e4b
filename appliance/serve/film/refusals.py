"""Films that cannot be made: this module remembers them for a while, so that a broken file is read once, not each time.

Only what lies in the file itself is remembered. A disk or an origin that fails may do better the next time.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Hashable

from appliance.domain.shelf import NotPlayable

SECONDS = 600.0
"""How long a refusal stands: what an origin says of a file may be mended meanwhile."""
MOST = 64
"""Refusals remembered; the oldest makes room."""
_LIES_IN_THE_FILE = 415


class Refusals:
    """See the module. Call it from the loop."""

    def __init__(self) -> None:
        self._found: OrderedDict[Hashable, tuple[NotPlayable, float]] = OrderedDict()

    def check(self, key: Hashable) -> None:
        """Raise what was noted of ``key`` not long ago."""
        noted = self._found.get(key)
        if noted is None:
            return
        error, until = noted
        if asyncio.get_running_loop().time() >= until:
            del self._found[key]
            return
        raise type(error)(error.code, error.message, error.hint, error.status)  # anew: a raised one keeps its frames

    def note(self, key: Hashable, error: BaseException) -> None:
        """Remember an error, where it lies in the file."""
        if not isinstance(error, NotPlayable) or error.status != _LIES_IN_THE_FILE:
            return
        kept = type(error)(error.code, error.message, error.hint, error.status)
        self._found[key] = kept, asyncio.get_running_loop().time() + SECONDS
        self._found.move_to_end(key)
        while len(self._found) > MOST:
            self._found.popitem(last=False)
