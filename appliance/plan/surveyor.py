"""Looks into copies elsewhere, one host at a time: the loop, while whose turn it is, is ``survey``'s.

While no rule hangs on copies it sleeps, and nothing is asked. What it may receive in a day is counted in the store
before it is asked for, so that neither a restart nor a kill makes it more. This module wakes, asks and writes down.
"""

import asyncio
import json
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from appliance.clock import Clock
from appliance.domain.plan import CopySource, Rule
from appliance.domain.units import KIB, MIB, VideoId
from appliance.errors import SeedkeepError
from appliance.plan import survey
from appliance.plan.examiner import Exam, Examiner
from appliance.plan.survey import Asked, Target, Try
from appliance.store import copies, rules, saved
from appliance.store.engine import Session, Store, Touched
from appliance.swarm.challenge import Answer, Kind

_SPENT = "challenge_bytes"
_STIRRING = frozenset({"rule", "pin_state", "plan", "confirmed"})
_SETTLE = 2.0
_ROUND_SECONDS = 60.0
"""Seconds between two looks at what there is to ask, at the least."""

_LONGEST_GAP = 3600.0
_LOOK_SECONDS = 600.0
_STOPPED_SECONDS = 600.0
_LEAST = 128 * KIB
"""With less than this left of a day's budget the day is over: any one challenge may cost so much."""

_MOST_TRIES = 20_000
_DAY = 86_400.0
_system_chance = secrets.SystemRandom().random
_log = logging.getLogger(__name__)

Key = tuple[VideoId, CopySource, str]


@dataclass(frozen=True, slots=True)
class SurveyOptions:
    """``daily_bytes`` may be received for challenges in a day (UTC); 0: never asked."""

    daily_bytes: int = 64 * MIB


@dataclass(frozen=True, slots=True)
class Tally:
    """Bytes received, or about to be, on ``day``."""

    day: str
    count: int


def spent(session: Session, day: str) -> Tally:
    """Return what was spent. Where the clock was set back the later day's count stands: a day is never had twice."""
    text = saved.get(session, _SPENT)
    found = Tally("", 0) if text is None else Tally(**json.loads(text))
    return found if found.day >= day else Tally(day, 0)


def spend(session: Session, day: str, count: int) -> None:
    """Add to what was spent; a negative count gives back what was reserved."""
    before = spent(session, day)
    saved.put(session, _SPENT, json.dumps({"day": before.day, "count": max(0, before.count + count)}))


class Surveyor:
    """Run ``keep_asking`` as one task. ``chance`` gives numbers from 0 to 1, for the spread."""

    def __init__(
        self,
        store: Store,
        examiner: Examiner,
        clock: Clock,
        options: SurveyOptions,
        chance: Callable[[], float] = _system_chance,
    ) -> None:
        self._store, self._examiner, self._clock = store, examiner, clock
        self._options, self._chance = options, chance
        self._wake = asyncio.Event()
        self._stale, self._looked_at, self._not_before = True, 0.0, 0.0
        self._wanting: tuple[Rule, ...] = ()
        self._targets: dict[Key, Target] = {}
        self._tries: dict[Key, Try] = {}
        self._before = Asked()

    def reconfigure(self, options: SurveyOptions) -> None:
        self._options = options
        self._wake.set()

    async def keep_asking(self) -> None:
        """Ask whoever is due, until cancelled."""
        end = self._store.listen(self._changed)
        try:
            while True:
                self._wake.clear()
                try:
                    seconds = await self._turn()
                except SeedkeepError as error:
                    seconds = _STOPPED_SECONDS
                    _log.warning("copies are not looked into: %s", error.message)
                except Exception:  # noqa: BLE001 - the edge of one unit of work: one challenge
                    seconds = _LONGEST_GAP
                    _log.exception("looking into copies failed")
                await self._rest(seconds)
        finally:
            end()

    def _changed(self, marks: Touched) -> None:
        if any(kind in _STIRRING for kind, _ in marks):
            self._stale = True
            self._wake.set()

    async def _rest(self, seconds: float | None) -> None:
        """Sleep until woken, or for ``seconds`` (None: however long)."""
        waiting: set[asyncio.Task[Any]] = {asyncio.create_task(self._wake.wait(), name="surveyor woken")}
        if seconds is not None:
            waiting.add(asyncio.create_task(self._clock.sleep(seconds), name="surveyor asleep"))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        if self._wake.is_set():
            await self._clock.sleep(_SETTLE)

    # One turn

    async def _turn(self) -> float | None:
        """Ask one host, if one is due; return the seconds until the next turn, None: until something changes."""
        early = self._not_before - self._clock.monotonic()
        if early > 0:
            return early
        wanting = survey.needing(await self._store.read(rules.every)) if self._options.daily_bytes else ()
        if not wanting:
            self._targets, self._wanting = {}, ()
            return None
        await self._look(wanting)
        if self._examiner.stopped:
            return _STOPPED_SECONDS
        now = self._clock.now()
        chosen = await asyncio.to_thread(
            survey.next_one, tuple(self._targets.values()), dict(self._tries), self._before, now
        )
        if chosen.target is not None:
            return await self._ask(chosen.target, now)
        if self._stale:
            return _ROUND_SECONDS
        again = _LONGEST_GAP if chosen.again is None else (chosen.again - now).total_seconds()
        return min(max(again, _SETTLE), _LONGEST_GAP)

    async def _look(self, wanting: tuple[Rule, ...]) -> None:
        """Find out what there is to ask: where rules changed, and otherwise now and then."""
        age = self._clock.monotonic() - self._looked_at
        if wanting == self._wanting and age < (_ROUND_SECONDS if self._stale else _LOOK_SECONDS):
            return
        self._stale, self._wanting, self._looked_at = False, wanting, self._clock.monotonic()
        known = await self._store.read(copies.subjects, self._clock.now())
        found = await asyncio.to_thread(survey.targets, known, wanting)
        self._targets = {target.key: target for target in found}

    async def _ask(self, target: Target, now: datetime) -> float:
        day = now.date().isoformat()
        left = self._options.daily_bytes - (await self._store.read(spent, day)).count
        if left < _LEAST:
            return _until_midnight(now)
        first = self._examiner.cost_of_preparing(target)
        exam = await self._prepared(target, now, day, first) if first + _LEAST <= left else None
        if exam is None or exam.cost > left - first:
            self._silent(target.key, now)
            return self._paced(first)
        await self._store.write(spend, day, exam.cost)
        answer = await exam.put()
        await self._store.write(spend, day, answer.received - exam.cost)
        await self._note(target, exam.host, answer)
        self._before = Asked(exam.host, now)
        return self._paced(answer.received)

    async def _prepared(self, target: Target, now: datetime, day: str, cost: int) -> Exam | None:
        if not cost:
            return await self._exam(target, now)
        await self._store.write(spend, day, cost)
        before = self._examiner.listed
        exam = await self._exam(target, now)
        await self._store.write(spend, day, min(0, self._examiner.listed - before - cost))
        return exam

    async def _exam(self, target: Target, now: datetime) -> Exam | None:
        try:
            return await self._examiner.prepare(target, self._tries, self._before, now)
        except SeedkeepError as error:
            _log.info("a copy of %s is not looked into: %s", target.video, error.message)
            return None

    async def _note(self, target: Target, host: str, answer: Answer) -> None:
        now, key = self._clock.now(), (target.video, target.source, host)
        if answer.kind is Kind.SILENT:
            self._silent(key, now)
        else:
            right = answer.kind is Kind.VERIFIED
            self._tries.pop(key, None)
            await self._store.write(copies.note_answer, target.video, target.source, host, now, right=right)
            if not right:
                _log.info("%s has no copy of %s (%s)", host, target.video, answer.why or "other bytes")
        rests = target.again
        if target.source is not CopySource.PEERS:
            rests = survey.WRONG_RESTS if answer.kind is Kind.FAILED else survey.RIGHT_RESTS
        if answer.kind is not Kind.SILENT or target.source is CopySource.PEERS:
            self._targets[target.key] = replace(target, last=now, again=rests)

    def _silent(self, key: Key, now: datetime) -> None:
        times = self._tries[key].times if key in self._tries else 0
        self._tries.pop(key, None)
        self._tries[key] = Try(now, times + 1)
        while len(self._tries) > _MOST_TRIES:
            del self._tries[next(iter(self._tries))]

    def _paced(self, received: int) -> float:
        """Return the seconds until the next turn, so that a day's budget lasts for the day."""
        share = received / max(1, self._options.daily_bytes) * _DAY
        seconds = min(max(share * (0.5 + self._chance()), _SETTLE), _LONGEST_GAP)
        self._not_before = self._clock.monotonic() + seconds
        return seconds


def _until_midnight(now: datetime) -> float:
    tomorrow = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (tomorrow - now).total_seconds()
