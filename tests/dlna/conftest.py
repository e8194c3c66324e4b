"""One box for all tests of a module that only look, and one of its own for each that changes something."""

import inspect
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from appliance.lan.notify import notify
from tests.dlna.box import Box, a_box
from tests.world import guards

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run a module's tests on one loop, as its box does."""
    for item in items:
        if item.path.parent == _HERE and inspect.iscoroutinefunction(getattr(item, "function", None)):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


@pytest.fixture(autouse=True)
def _watched() -> Iterator[None]:
    """Watch the loop: nothing may hold it up, and no file be opened on it."""
    with guards.watching() as guard:
        yield
    assert not guard.wrongs, "; ".join(dict.fromkeys(guard.wrongs))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Box]:
    """A box that is only looked at."""
    async with a_box(tmp_path_factory.mktemp("box"), post=notify) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def own(tmp_path: Path) -> AsyncIterator[Box]:
    """A box to change."""
    async with a_box(tmp_path, post=notify) as made:
        yield made
