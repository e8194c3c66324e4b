"""Large plans beside a lively house: this module keeps the interpreter from stopping everybody for their sake.

A plan of a hundred thousand videos is millions of objects, none of them in a cycle. Looking for cycles among them
stops every thread for a good part of a second at a time, so nobody looks while a plan is made, nor among what it left
behind before that was read and dropped. And a thread that computes gives the others their turn ten times as often.
"""

import asyncio
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_TURN = 0.0005
"""Seconds that the planning thread computes before another that waits has its turn; 0.005 is Python's own."""
_READ = 60.0
"""Seconds after which whoever asked for a plan has read it."""

_MANY = 200_000
"""Objects made during a plan and still there, above which they are worth being kept from the collector."""
_PART = 500

_present = 0
_turn_before = 0.005


def let_go(many: list[Any]) -> None:
    """Empty a list of things that nobody else holds, some at a time: to take millions of objects apart takes long too.

    Call it in a thread.
    """
    while many:
        del many[-_PART:]


@contextmanager
def stillness() -> Iterator[None]:
    """Enter on the loop's thread, around all that makes a plan; may be entered again within."""
    global _present, _turn_before
    if _present == 0:
        _turn_before = sys.getswitchinterval()
        gc.disable()
        sys.setswitchinterval(min(_TURN, _turn_before))
    _present += 1
    try:
        yield
    finally:
        _present -= 1
        if _present == 0:
            if gc.get_count()[0] > _MANY:
                gc.freeze()
                asyncio.get_running_loop().call_later(_READ, _forget)
            gc.enable()
            sys.setswitchinterval(_turn_before)


def _forget() -> None:
    """Look once for what was left in cycles meanwhile; then what stays is out of every collection, as after the start.

    Only after plans of very many videos: it stops everybody for a moment, and what was frozen at the start is unfrozen
    with the rest.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
