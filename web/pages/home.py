"""The first page."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from litestar import Response, get

from appliance.domain.catalogue import Holdings, SilentOrigin, VideoFilter, VideoLine, VideoSort
from appliance.domain.pin import PinState
from appliance.domain.plan import Verdict
from appliance.store import channels, decisions, ledger, lists, origins, rules
from policies.explain import sentence
from web.pages.show import Asked, disk, services, show
from web.services import Services
from web.views import decided, home, playing, traffic, week
from web.views import disk as disks

NEWEST = 8
QUESTIONS = 20
"""So many questions at once at most; the next ones come as these are answered."""
ON_THE_WAY = (PinState.QUEUED, PinState.PINNING, PinState.WAITING, PinState.FAILED, PinState.MISSING)
BUSY = (PinState.PINNING, PinState.WAITING, PinState.FAILED, PinState.MISSING, PinState.RELEASING)


@get("/", include_in_schema=False)
async def first_page(request: Asked) -> Response[str]:
    house = services(request)
    now = house.clock.now()
    today = now.date()
    patience = timedelta(days=house.settings.current.plan.protect_days)
    silent, named, asks, screens = await asyncio.gather(
        house.store.read(origins.silent, now - patience),
        house.store.read(rules.every),
        _questions(house),
        _playing(house),
    )
    followed, (held, asked), days, busy, newest, space = await asyncio.gather(
        house.store.read(channels.every),
        _held(house),
        house.store.read(ledger.days, today - (traffic.SPAN - 1) * traffic.ONE_DAY, today),
        _busy(house),
        house.store.read(lists.page, VideoFilter(pin_state=PinState.PINNED, sort=VideoSort.NEWEST, limit=NEWEST)),
        disk(house),
    )
    budget = house.spending.budget
    view = home.home(
        _pulse(house, held, asked, silent),
        followed,
        disks.tray(space, coming=max(0, held.size - held.done)) if space else None,
        busy,
        {activity.video: activity for activity in house.spending.activity()},
        newest.items,
        traffic.history(days, today),
        now,
        sentence,
    )
    return await show(
        request,
        "home",
        {
            "home": view,
            "playing": screens,
            "playing_heading": playing.heading(len({one.screen for one in screens})),
            "questions": asks,
            "stopped": week.said(house.spending.ration()) if 0 in (budget.upload, budget.download) else "",
            "none_down": week.none_down(house.spending.ration()),
            "reading": home.reading(followed),
            "nothing": home.nothing(followed, any(not rule.paused for rule in named)),
            "silences": home.silences(silent, now),
            "follow": {"url": "", "error": "", "hint": "", "done": "", "href": ""},
        },
        here="home",
    )


def _pulse(house: Services, held: Holdings, asked: int, silent: Iterable[SilentOrigin]) -> home.Pulse:
    budget = house.spending.budget
    return home.Pulse(
        rates=house.spending.rates(),
        up_limit=budget.upload,
        down_limit=budget.download,
        queued=held.by_state.get(PinState.QUEUED, 0),
        held=held.by_state.get(PinState.PINNED, 0),
        asked=asked,
        troubles=house.health().troubles,
        silent=frozenset(channel.id for origin in silent for channel in origin.channels),
    )


async def _questions(house: Services) -> list[decided.Question]:
    """Return what only the owner can decide and has not yet."""
    found = await house.store.read(decisions.asking)
    if not found:
        return []
    lines, named = await asyncio.gather(
        house.store.read(lists.lines, tuple(one.video for one in found[:QUESTIONS])), house.store.read(rules.every)
    )
    known, by_id = {line.id: line for line in lines if line.wish is None}, {rule.id: rule for rule in named}
    return [decided.question(one, known[one.video], by_id, sentence) for one in found if one.video in known]


async def _playing(house: Services) -> tuple[playing.Playing, ...]:
    """Return who plays now."""
    leases = house.leases.every()
    if not leases:
        return ()
    lines = await house.store.read(lists.lines, tuple({lease.video for lease in leases}))
    return playing.playing(
        leases,
        {line.id: line for line in lines},
        house.presence.sightings(),
        {activity.video: activity for activity in house.spending.activity()},
        house.clock.monotonic(),
        house.clock.now(),
        sentence,
    )


async def _held(house: Services) -> tuple[Holdings, int]:
    """Return all pins together, and how many videos are wanted that have none yet."""
    held, wanted = await asyncio.gather(
        house.store.read(lists.holdings),
        house.store.read(lists.page, VideoFilter(verdict=Verdict.PIN, limit=1)),
    )
    return held, max(0, wanted.total - sum(held.by_state.get(state, 0) for state in ON_THE_WAY))


async def _busy(house: Services) -> list[VideoLine]:
    pages = await asyncio.gather(
        *(house.store.read(lists.page, VideoFilter(pin_state=state, sort=VideoSort.RANK, limit=6)) for state in BUSY)
    )
    return [line for page in pages for line in page.items]


routes = [first_page]
