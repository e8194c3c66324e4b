"""This process's own knobs: memory arenas and how often threads take turns. This module turns them at the start."""

import ctypes
import gc
import sys
from types import ModuleType

_M_ARENA_MAX = -8
_ARENAS = 2
_TURN_SECONDS = 0.0005
_LEFT_OUT = "Left out: see seedkeep's appliance.host.process."


def settle() -> None:
    """Turn the knobs. Call it before any thread is started.

    Two malloc arenas instead of eight a core spare some 12 MB (glibc mallopt(3); elsewhere nothing happens). Short
    turns between threads (5 ms by default) keep the loop answering while readers move media.
    """
    sys.setswitchinterval(_TURN_SECONDS)
    try:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
    except (OSError, AttributeError):
        return


def spare() -> None:
    """Leave out what libraries would load though nobody here uses it: some 4 MB. Call it before they are loaded.

    A name that is None cannot be imported. uvicorn is prepared for that: it would watch the program's own files with
    ``watchfiles``. Litestar needs PyYAML only to write its description of the API as YAML, which we do not offer, but
    wants something of its name: it gets an empty module. uvicorn's own command, which brings click and what starts more
    processes, is never given here: its server is had from ``uvicorn.server``.
    """
    sys.modules.setdefault("watchfiles", None)  # type: ignore[arg-type]
    sys.modules.setdefault("yaml", ModuleType("yaml", _LEFT_OUT))
    command = ModuleType("uvicorn.main", _LEFT_OUT)
    command.__dict__.update(Server=None, main=None, run=None)  # uvicorn looks for these names as it is loaded
    sys.modules.setdefault("uvicorn.main", command)


def freeze() -> None:
    """What is loaded by now stays: leave it out of every later garbage collection."""
    gc.collect()
    gc.freeze()
