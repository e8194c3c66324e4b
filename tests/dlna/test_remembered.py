"""What is long is given out a moment old rather than waited for, and nobody is left with what was old."""

import asyncio
from collections.abc import Callable, Hashable

import pytest

from appliance.clock import ManualClock
from appliance.errors import StoreError
from appliance.serve.dlna.remembered import LONG, PAUSE, Remembered
from tests.dlna.box import NOW


class _Catalogue:
    """A listing of ``size`` that is read when ``gate`` is open; ``edition`` is what it begins with."""

    def __init__(self, size: int = LONG) -> None:
        self.size, self.edition, self.reads = size, 1, 0
        self.gate, self.read_again = asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.broken = False

    async def read(self) -> tuple[int, ...]:
        self.reads += 1
        edition = self.edition
        await self.gate.wait()
        if self.broken:
            raise StoreError("The database cannot be read.")
        self.read_again.set()
        return (edition,) * self.size


class _Memory:
    """One with what it corrected, on a clock that stands."""

    def __init__(self) -> None:
        self.clock, self.corrected, self.told = ManualClock(NOW), list[Hashable](), asyncio.Event()
        self.all = Remembered(self.clock, self._heard)

    def _heard(self, key: Hashable) -> None:
        self.corrected.append(key)
        self.told.set()

    async def edition(self, of: _Catalogue) -> int:
        return (await self.all.get("all", of.read))[0]

    def change(self, what: _Catalogue) -> None:
        what.edition += 1
        what.read_again.clear()
        self.all.changed(lambda _: True)


async def test_a_long_listing_is_given_out_old_until_it_is_read_again_and_then_corrected() -> None:
    memory, catalogue = _Memory(), _Catalogue()
    assert await memory.edition(catalogue) == 1
    catalogue.gate.clear()
    memory.change(catalogue)
    assert await asyncio.wait_for(memory.edition(catalogue), 5) == 1, "nobody waits for what is read again"
    catalogue.gate.set()
    await memory.told.wait()
    assert await memory.edition(catalogue) == 2
    assert (memory.corrected, catalogue.reads) == (["all"], 2)
    await memory.all.close()


async def test_nothing_is_corrected_that_nobody_took_old() -> None:
    memory, catalogue = _Memory(), _Catalogue()
    await memory.edition(catalogue)
    memory.change(catalogue)
    await catalogue.read_again.wait()
    await _until(lambda: memory.clock.sleepers == 1)
    assert await memory.edition(catalogue) == 2
    assert memory.corrected == []
    await memory.all.close()


async def test_changes_that_go_on_are_read_once_a_pause() -> None:
    memory, catalogue = _Memory(), _Catalogue()
    await memory.edition(catalogue)
    memory.change(catalogue)
    await _until(lambda: memory.clock.sleepers == 1)
    for _ in range(20):
        memory.change(catalogue)
        await memory.edition(catalogue)
    assert catalogue.reads == 2
    memory.clock.advance(PAUSE)
    await memory.told.wait()
    assert (await memory.edition(catalogue), catalogue.reads) == (22, 3)
    await memory.all.close()


async def test_a_short_listing_is_never_old() -> None:
    memory, catalogue = _Memory(), _Catalogue(LONG - 1)
    await memory.edition(catalogue)
    memory.change(catalogue)
    assert catalogue.reads == 1, "it is read when it is asked for"
    assert await memory.edition(catalogue) == 2
    await memory.all.close()


async def test_what_nobody_asked_for_lately_is_forgotten_at_a_change() -> None:
    memory, catalogue = _Memory(), _Catalogue()
    await memory.edition(catalogue)
    memory.clock.advance(601)
    memory.change(catalogue)
    assert await memory.edition(catalogue) == 2
    assert catalogue.reads == 2
    await memory.all.close()


async def test_a_listing_that_changed_while_it_was_read_is_read_again() -> None:
    memory, catalogue = _Memory(), _Catalogue()
    catalogue.gate.clear()
    first = asyncio.create_task(memory.edition(catalogue))
    await _until(lambda: catalogue.reads == 1)
    memory.change(catalogue)
    catalogue.gate.set()
    assert await first == 1
    await _until(lambda: memory.clock.sleepers == 1)
    assert await memory.edition(catalogue) == 2
    await memory.all.close()


async def test_a_listing_that_cannot_be_read_again_is_not_given_out_for_ever() -> None:
    memory, catalogue = _Memory(), _Catalogue()
    await memory.edition(catalogue)
    catalogue.broken = True
    memory.change(catalogue)
    await _until(lambda: memory.clock.sleepers == 1)
    with pytest.raises(StoreError):
        await memory.edition(catalogue)
    catalogue.broken = False
    assert await memory.edition(catalogue) == 2
    await memory.all.close()


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - what happens in the background sends no word
            await asyncio.sleep(0)
