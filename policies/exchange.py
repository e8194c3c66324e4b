"""Who pays, once more: a full budget is relieved of videos that a budget with room would pay for.

Claims are heard best first, and a video goes to the rule that it is best with at the budgets' prices; prices are a
little wrong, and where scopes overlap in part a budget may stay half empty while another turns videos away that only
it wants. So of a rule that is full, the videos that cost least to hand over go to rules that have room, as long as
what is let in for them is worth more than what handing over loses (an ejection chain of length one: Glover, Discrete
Applied Mathematics 65, 1996; Martello and Toth, Knapsack Problems, ch. 7, do the like for the assignment problem).

Like the rest of the ideal, it depends on nothing that a plan moves. This module hands over.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.domain.plan import ReasonCode
from policies.claims import Claims, Desk
from policies.room import Claimed, Room

ROUNDS = 3
"""What one rule hands over may fill what another would have handed over to."""

_NOT_HELPED = (ReasonCode.TOO_LARGE, ReasonCode.CHANNEL_FULL)
WORTH_IT = 200
"""Of its budget, a rule that has less than one in so many bytes left is full."""


@dataclass(frozen=True, slots=True)
class _Move:
    """A video that could go to another rule, and the worth that is lost by it; less than 0 where some is won."""

    at: int
    to: Claimed
    loss: float


def exchange(desk: Desk, every: Sequence[Claims], room: Room) -> bool:
    """Hand over what is worth it, and return whether anything was."""
    least = [min(mine.sizes, default=0) for mine in every]
    changed, again = False, True
    for _ in range(ROUNDS):
        if not again:
            break
        again = False
        for number, mine in enumerate(every):
            if room.left < least[number]:
                # It is the disk that is full: who pays makes no difference.
                continue
            roomy = [n for n, size in enumerate(least) if n != number and _has_room(room, n, size)]
            waiting = [n for n, at in enumerate(mine.videos) if at not in room.taken] if roomy else []
            if waiting and _relieved(desk, every, room, number, waiting, roomy):
                changed = again = True
    return changed


def _has_room(room: Room, number: int, size: int) -> bool:
    purse = room.purses[number]
    counts = purse.rule.most is None or purse.videos < purse.rule.most
    limit = purse.newcomers
    return counts and (limit is None or purse.used + max(size, limit // WORTH_IT) <= limit)


def _relieved(
    desk: Desk, every: Sequence[Claims], room: Room, number: int, waiting: list[int], roomy: list[int]
) -> bool:
    mine, moves, changed = every[number], _moves(every, room, number, roomy), False
    for place in waiting:
        at, size = mine.videos[place], mine.sizes[place]
        code = room.trouble(number, desk.videos[at], size, held=False)
        if not moves or code is ReasonCode.NO_SPACE:
            break
        if at in mine.sits or code in _NOT_HELPED:
            continue
        done, lost = _made_way(desk, every, room, number, moves, place)
        fits = room.trouble(number, desk.videos[at], size, held=False) is None
        if not fits or mine.keys[place] * size <= lost:
            for move in done:
                _hand(desk, every, room, move.at, Claimed(number, mine.ranks[move.at] - 1))
            break
        room.take(at, desk.videos[at], size, 0, number, Claimed(number, place))
        changed = True
    return changed


def _moves(every: Sequence[Claims], room: Room, number: int, roomy: list[int]) -> list[_Move]:
    """Return what the rule could hand over, what loses least for each byte last."""
    mine, found = every[number], []
    for at, by in room.taken.items():
        if by is None or by.rule != number:
            continue
        worth, size = mine.keys[by.place] * mine.sizes[by.place], mine.sizes[by.place]
        for other in roomy:
            theirs = every[other]
            place = theirs.ranks[at] - 1
            if place >= 0 and at not in theirs.sits:
                loss = worth - theirs.keys[place] * theirs.sizes[place]
                found.append((loss / max(1, size), at, _Move(at, Claimed(other, place), loss)))
    found.sort(key=lambda one: (one[0], one[1]), reverse=True)
    return [move for _, _, move in found]


def _made_way(
    desk: Desk, every: Sequence[Claims], room: Room, number: int, moves: list[_Move], place: int
) -> tuple[list[_Move], float]:
    """Hand over until there is room for a claim; return what was, and the worth that it lost."""
    mine, done, lost = every[number], [], 0.0
    video, size = desk.videos[mine.videos[place]], mine.sizes[place]
    while moves and room.trouble(number, video, size, held=False) is not None:
        move = moves.pop()
        by = room.taken[move.at]
        if by is None or by.rule != number:
            continue
        if _hand(desk, every, room, move.at, move.to):
            done.append(move)
            lost += move.loss
    return done, lost


def _hand(desk: Desk, every: Sequence[Claims], room: Room, at: int, to: Claimed) -> bool:
    """Charge a video to another claim, where that has room for it."""
    by, video = room.taken[at], desk.videos[at]
    assert by is not None
    room.drop(at, video, every[by.rule].sizes[by.place], by.rule)
    theirs = every[to.rule]
    if room.trouble(to.rule, video, theirs.sizes[to.place], held=False) is None:
        room.take(at, video, theirs.sizes[to.place], 0, to.rule, to)
        return True
    room.take(at, video, every[by.rule].sizes[by.place], 0, by.rule, by)
    return False
