"""Sorting very many so that no other thread waits until it is done: this module sorts in runs, and merges those."""

from collections.abc import Sequence
from typing import Any

RUN = 10_000
"""Keys sorted at a time. While Python sorts, no other thread has its turn."""


def in_order(keys: Sequence[Any], *, reverse: bool = False) -> list[int]:
    """Return the places of the least keys first, with ``reverse`` of the greatest; of equal ones the earliest."""
    order: list[int] = []
    starts = range(0, len(keys), RUN)
    for start in starts:
        order += sorted(range(start, min(start + RUN, len(keys))), key=keys.__getitem__, reverse=reverse)
    # Runs that are in order already are only merged, which is quick.
    return sorted(order, key=keys.__getitem__, reverse=reverse) if len(starts) > 1 else order


def best_first(values: Sequence[float]) -> list[int]:
    """Return the places of the greatest values first; of equal ones the earliest."""
    return in_order(values, reverse=True)
