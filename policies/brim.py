"""How much of a budget is best used: a larger budget must never keep less worth than a smaller one.

Taking the best that still fits, one after the other, does not have that property: a little more room may admit a large
video that then stands in the way of two smaller ones worth more together. So what such a filling would keep inside
each smaller budget is looked at as well, and the best of all is used. Only fillings that really differ are made, from
the largest down, and none below the budget at which even videos kept in part could not be worth more (Dantzig's
bound); that is a handful. This module answers with the budget to use.
"""

from bisect import bisect_right
from itertools import accumulate

EFFORT = 200_000
"""Claims looked at altogether, after which the best found so far stands: only worlds made for it need more."""


def best_budget(keys: list[float], sizes: list[int], budget: int, most: int | None = None) -> int:
    """Return the budget, at most ``budget``, whose filling keeps the most worth. Claims come best first.

    ``most`` bounds their number. For every budget asked of the same claims the worth kept is the greatest of all
    budgets up to it, and so never falls as the budget grows.
    """
    worths = [key * size for key, size in zip(keys, sizes, strict=True)]
    heads = list(accumulate(sizes, initial=0))
    gains = list(accumulate(worths, initial=0.0))
    least = list(accumulate(reversed(sizes), min, initial=1 << 62))[::-1]

    def bound(limit: int) -> float:
        whole = bisect_right(heads, limit) - 1
        part = keys[whole] * (limit - heads[whole]) if whole < len(keys) else 0.0
        return gains[whole] + max(0.0, part)

    best, most_worth, limit, effort = budget, -1.0, budget, 0
    while limit >= 0 and effort < EFFORT and bound(limit) > most_worth:
        start = min(bisect_right(heads, limit) - 1, len(sizes) if most is None else most)
        used, worth, count = heads[start], gains[start], start
        place = start
        while place < len(sizes) and limit - used >= least[place] and (most is None or count < most):
            if used + sizes[place] <= limit:
                used, worth, count = used + sizes[place], worth + worths[place], count + 1
            place += 1
        effort += place - start + 1
        if worth > most_worth:
            best, most_worth = limit, worth
        limit = used - 1
    return best
