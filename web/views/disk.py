"""The library's disk as a picture: a tray of a hundred seeds, one for each percent. This module counts them out."""

from dataclasses import dataclass

from appliance.domain.plan import Disk
from web.views import words

CELLS = 100


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of space: ``key`` is held, cached, coming, other, free or floor; ``cells`` of the tray's hundred."""

    key: str
    name: str
    size: str
    cells: int


@dataclass(frozen=True, slots=True)
class Tray:
    """``cells`` names the part of each seed in order; ``sentence`` says the same in words."""

    parts: tuple[Part, ...]
    cells: tuple[str, ...]
    held: str
    total: str
    left: str
    sentence: str
    tight: bool


def tray(disk: Disk, coming: int = 0) -> Tray:
    """Return the disk as a hundred seeds. ``coming`` bytes are promised and not here yet.

    What is there at all shows at least one seed. Free space is what may still be used, above the floor. What is cached,
    and copies for televisions, make room for what comes.
    """
    spare = disk.cached + disk.copies
    other = max(0, disk.total - disk.free - disk.used - spare)
    floor = min(disk.floor, disk.free)
    usable = max(0, disk.free - floor)
    gives = min(spare, max(0, coming - usable))
    arriving = min(coming, usable + gives)
    amounts = {
        "held": disk.used,
        "coming": arriving,
        "cached": spare - gives,
        "free": usable + gives - arriving,
        "floor": floor,
        "other": other,
    }
    counts = _cells(amounts, max(1, disk.total))
    names = {
        "held": "kept here",
        "coming": "on its way",
        "cached": _spare(disk),
        "free": "free to use",
        "floor": "never used (floor)",
        "other": "other files",
    }
    parts = tuple(Part(key, names[key], words.size(amounts[key]), counts[key]) for key in amounts if amounts[key])
    return Tray(
        parts=parts,
        cells=tuple(key for key, number in counts.items() for _ in range(number)),
        held=words.size(disk.used),
        total=words.size(disk.total),
        left=words.size(usable),
        sentence=words.listed([f"{part.size} {part.name}" for part in parts]) + f", of {words.size(disk.total)}.",
        tight=usable + spare < disk.total // 50,
    )


def _spare(disk: Disk) -> str:
    if not disk.copies:
        return "only because it was watched"
    return "only because it was watched, or copies for televisions" if disk.cached else "copies for televisions"


def _cells(amounts: dict[str, int], total: int) -> dict[str, int]:
    """Share out the seeds by largest remainder; a part that is not empty gets one at least."""
    exact = {key: CELLS * amount / total for key, amount in amounts.items()}
    cells = {key: max(1, int(value)) if amounts[key] else 0 for key, value in exact.items()}
    order = sorted(exact, key=lambda key: exact[key] - int(exact[key]), reverse=True)
    while (missing := CELLS - sum(cells.values())) > 0:
        for key in order[:missing]:
            cells[key] += 1 if amounts[key] or key == "free" else 0
        if not any(amounts.values()):
            cells["free"] = CELLS
    while sum(cells.values()) > CELLS:
        cells[max(cells, key=lambda key: cells[key])] -= 1
    return cells
