"""Fixtures and guards for every kind of test."""

import asyncio
import gc
import inspect
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.world import guards
from tests.world.lab import Lab, need_namespaces
from tests.world.origin import Origin
from tests.world.thrift import thrift

# How long an example takes says what else the machine does. The trial looks at more of them.
settings.register_profile("every run", deadline=None, max_examples=50)
settings.register_profile("trial", deadline=None, max_examples=250)

_SWEPT_AFTER = 10_000
"""Objects made and kept, after which the garbage collector looks at them."""

_GUARDED = ("unit", "contract", "swarm", "media")


def pytest_cmdline_main(config: pytest.Config) -> None:
    """Start again as root of a user namespace where we are not root, so that hosts can be made (``lab``)."""
    if os.geteuid() == 0 or os.environ.get("SEEDKEEP_TEST_UNSHARED") or config.option.collectonly:
        return
    try:
        able = subprocess.run(["unshare", "-Urn", "ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0
    except OSError:
        able = False
    if able:
        os.environ["SEEDKEEP_TEST_UNSHARED"] = "1"
        again = [sys.executable, "-m", "pytest", *sys.argv[1:]]
        os.execvp("unshare", ["unshare", "-Urn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *again])


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("every run" if "not trial" in config.option.markexpr else "trial")
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what computes long to the beginning, so that no worker waits for another's at the end."""
    items.sort(key=lambda item: item.path.parent.name != "policies")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Sweep less often, and never again what was collected: that took a quarter of a run's processor time."""
    gc.freeze()
    gc.set_threshold(_SWEPT_AFTER, 10, 10)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _thrifty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with thrift(tmp_path_factory.mktemp("thrift")):
        yield


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A recorded PeerTube on a free port of this machine, in a thread of its own."""
    with Origin() as running:
        yield running


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Hosts by network namespaces; not run where there can be none."""
    need_namespaces()
    with Lab() as made:
        yield made


@pytest.fixture
async def _no_task_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    left = await guards.tasks_left(before)
    assert not left, "; ".join(left)


@pytest.fixture(autouse=True)
def _guarded(request: pytest.FixtureRequest) -> Iterator[None]:
    """Watch the loop and what is left behind, in the folders where the product runs inside the test."""
    folder = Path(str(request.path)).relative_to(Path(__file__).parent).parts[0]
    if folder not in _GUARDED:
        yield
        return
    threads, files = guards.threads(), guards.files()
    if inspect.iscoroutinefunction(request.function):
        request.getfixturevalue("_no_task_left")
    with guards.watching() as guard:
        yield
    assert not guard.wrongs, "; ".join(dict.fromkeys(guard.wrongs))
    left = guards.left_behind(threads, files)
    assert not left, "; ".join(left)
