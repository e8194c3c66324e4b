"""The plan, video by video with its reasons, and what the last plans changed."""

import asyncio
from urllib.parse import urlencode

from litestar import Response, get

from appliance.domain.plan import Copies, Verdict
from appliance.store import copies, decisions, lists
from policies.explain import sentence, verdict_word
from web import outlook
from web.pages.show import Asked, services, show
from web.views import decided
from web.views import outlook as outlooks

LINES, PLANS = 50, 10
_WORDS = {verdict_word(verdict): verdict for verdict in Verdict}


@get("/plan", include_in_schema=False)
async def plan(request: Asked) -> Response[str]:
    """Show the plan in force; ``state`` is kept, wanted, going or skipped, ``rule`` the id of the one that chose."""
    house, asked = services(request), request.query_params
    found = await outlook.present(house)
    rules = {rule.id: rule for rule in found.rules}
    state = asked.get("state", "") if asked.get("state", "") in _WORDS else ""
    chosen = next((rule for rule in found.rules if rule.id == asked.get("rule", "")), None)
    fitting = [
        d
        for d in found.decisions
        if (not state or d.verdict is _WORDS[state]) and (chosen is None or d.rule == chosen.id)
    ]
    first = _offset(asked.get("from", ""), len(fitting))
    page = fitting[first : first + LINES]
    ids, now = tuple(d.video for d in page), house.clock.now()
    lines, elsewhere = await asyncio.gather(
        house.store.read(lists.lines, ids), house.store.read(copies.several, ids, now)
    )
    known = {line.id: line for line in lines}
    rows = [decided.row(d, known.get(d.video), rules, elsewhere.get(d.video, Copies()), now, sentence) for d in page]
    counts = {word: sum(d.verdict is verdict for d in found.decisions) for word, verdict in _WORDS.items()}
    view = {
        "rows": rows,
        "state": state,
        "rule": chosen,
        "counts": counts,
        "total": len(fitting),
        "sentence": outlooks.outlook(found) if found.decisions else "",
        "pages": _pages("plan", {"state": state, "rule": chosen.id if chosen else ""}, first, len(page), len(fitting)),
    }
    return await show(request, "plan", view, here="rules")


@get("/plan/history", include_in_schema=False)
async def history(request: Asked) -> Response[str]:
    """Show what the last plans changed, a plan at a time."""
    house = services(request)
    first = _offset(request.query_params.get("from", ""), 10**6)
    total, found = await house.store.read(decisions.history, PLANS, first)
    ids = tuple({change.video for one in found for change in one.changes})
    known = frozenset(line.id for line in await house.store.read(lists.lines, ids))
    now = house.clock.now()
    view = {
        "plans": [decided.plan_change(one, now, sentence, known) for one in found],
        "pages": _pages("plan/history", {}, first, len(found), total),
    }
    return await show(request, "plan_history", view, here="rules")


def _offset(text: str, most: int) -> int:
    return min(int(text), most) if text.isascii() and text.isdigit() and len(text) < 8 else 0


def _pages(path: str, asked: dict[str, str], first: int, shown: int, total: int) -> dict[str, str]:
    """Return the ways to the page before and the one after, empty where there is none, and where we are."""
    step = PLANS if path.endswith("history") else LINES

    def to(offset: int) -> str:
        query = urlencode({name: value for name, value in {**asked, "from": offset or ""}.items() if value})
        return f"{path}?{query}" if query else path

    return {
        "before": to(max(0, first - step)) if first else "",
        "after": to(first + step) if first + shown < total else "",
        "here": f"{first + 1:,} to {first + shown:,} of {total:,}" if shown else "",
    }


routes = [plan, history]
