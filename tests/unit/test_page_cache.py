"""What the page cache has of a file, on a real file system."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.host import page_cache
from appliance.host.page_cache import PageCache
from tests.world.kernel import knows_its_page_cache

PAGE = os.sysconf("SC_PAGE_SIZE")
SIZE = 64 * PAGE + 5


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "film.mp4", os.O_RDWR | os.O_CREAT)
    os.write(fd, bytes(SIZE))
    os.fsync(fd)
    yield fd
    os.close(fd)


@pytest.fixture
def cache() -> PageCache:
    return PageCache()


@pytest.fixture
def can(tmp_path: Path) -> bool:
    """Whether this machine can say it at all; where it cannot, nothing is ever in memory."""
    return knows_its_page_cache(tmp_path)


@pytest.mark.parametrize("span", [(0, SIZE), (0, 1), (SIZE - 1, 1), (PAGE - 1, 2), (7, 10 * PAGE)])
def test_what_was_just_written_is_in_memory(file: int, cache: PageCache, can: bool, span: tuple[int, int]) -> None:
    assert cache.has(file, *span) == can


@pytest.mark.parametrize("span", [(0, SIZE + PAGE), (64 * PAGE, 6), (SIZE, 1), (5, 0), (1 << 40, 1)])
def test_what_is_not_in_the_file_is_not(file: int, cache: PageCache, span: tuple[int, int]) -> None:
    assert not cache.has(file, *span)


def test_what_went_is_missed_until_it_is_read_again(file: int, cache: PageCache, can: bool) -> None:
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    assert not cache.has(file, 0, SIZE)
    assert not cache.has(file, SIZE - 1, 1)
    os.pread(file, SIZE, 0)
    assert cache.has(file, 0, SIZE) == can


def test_one_page_that_is_missing_is_missed(file: int, cache: PageCache, can: bool) -> None:
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)  # nothing is read ahead
    os.pread(file, 16 * PAGE, 0)
    os.pread(file, SIZE, 17 * PAGE)
    assert cache.has(file, 0, 16 * PAGE) == can
    assert cache.has(file, 17 * PAGE, SIZE - 17 * PAGE) == can
    assert not cache.has(file, 0, SIZE)


def test_a_file_of_which_nobody_can_say_is_not_in_memory(tmp_path: Path, can: bool) -> None:
    folder, cache = os.open(tmp_path, os.O_RDONLY), PageCache()
    os.close(folder)
    assert not cache.has(folder, 0, 1)
    assert cache.knows or not can


def test_a_kernel_that_does_not_know_the_call_is_asked_once(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_cache, "_CACHESTAT", 100_000)
    cache = PageCache()
    assert not cache.has(file, 0, 1)
    assert not cache.knows
    monkeypatch.undo()
    assert not cache.has(file, 0, 1)
