"""One box for all tests of a module that only look, and one of its own for each that changes something."""

import inspect
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from appliance.lan.notify import notify
from tests.dlna.box import Box, a_box

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run a module's tests on one loop, as its box does."""
    for item in items:
        if item.path.parent == _HERE and inspect.iscoroutinefunction(getattr(item, "function", None)):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


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
