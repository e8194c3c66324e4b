"""This process's own knobs: memory arenas and how often threads take turns. This module turns them at the start."""

import ctypes
import gc
import sys

_M_ARENA_MAX = -8
_ARENAS = 2
_TURN_SECONDS = 0.0005


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


def freeze() -> None:
    """What is loaded by now stays: leave it out of every later garbage collection."""
    gc.collect()
    gc.freeze()
