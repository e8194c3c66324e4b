"""A media file put together from HTTP ranges, each checked against its SHA-256: for origins without torrents.

What lies on the disk is hashed before anything is asked for, so a restart fetches only what is missing. This module
does both.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from appliance.domain.shelf import ByteMap, NotPlayable
from appliance.domain.units import ByteCount
from appliance.errors import BadAnswer, SeedkeepError
from appliance.library.files import Draft

Fetch = Callable[[int, int], Awaitable[bytes]]
"""(first, last) byte, inclusive, to the bytes."""

_UNHASHED_STEP = 1024 * 1024
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes ``first`` to ``last`` (inclusive) and their SHA-256 in hex; None where the origin gives none."""

    first: int
    last: int
    sha256: str | None


def patches(
    file: str, size: ByteCount, bytemap: ByteMap | None, hashes: Mapping[tuple[int, int], str]
) -> tuple[Patch, ...]:
    """Return the ranges of ``file`` in order, without gap: segments with their hashes, then what lies between them."""
    spans = sorted(
        (s.offset, s.offset + s.length - 1)
        for s in (() if bytemap is None else bytemap.segments)
        if s.file == file and s.length > 0
    )
    found: list[Patch] = []
    at = 0
    for first, last in spans:
        if first < at:
            continue
        found.extend(_unhashed(at, first))
        found.append(Patch(first, last, hashes.get((first, last))))
        at = last + 1
    found.extend(_unhashed(at, size))
    return tuple(found)


def _unhashed(first: int, end: int) -> list[Patch]:
    return [Patch(k, min(k + _UNHASHED_STEP, end) - 1, None) for k in range(first, end, _UNHASHED_STEP)]


class Patchwork:
    """One file being fetched by ranges. Open the draft first; ``run`` ends when every range is here."""

    def __init__(self, draft: Draft, size: ByteCount, parts: tuple[Patch, ...], fetch: Fetch) -> None:
        self._draft, self._size, self._parts, self._fetch = draft, size, parts, fetch
        self._have = [False] * len(parts)
        self._news = asyncio.Condition()
        self._heads: dict[int, int] = {}
        self._trouble: SeedkeepError | None = None
        self._tickets = 0

    @property
    def done(self) -> ByteCount:
        """Verified bytes."""
        return ByteCount(sum(p.last - p.first + 1 for p, have in zip(self._parts, self._have, strict=True) if have))

    @property
    def whole(self) -> bool:
        return all(self._have)

    async def verify(self) -> ByteCount:
        """Hash what lies on the disk; ranges without a hash count as missing. Return the verified bytes."""
        for k, part in enumerate(self._parts):
            if part.sha256 is not None:
                data = await self._draft.read(part.first, part.last - part.first + 1)
                self._have[k] = await asyncio.to_thread(_fits, part, data)
        return self.done

    async def run(self) -> None:
        """Fetch what is missing, where someone reads first. Raises OriginError, DiskError."""
        failures = 0
        self._trouble = None
        while (k := self._next()) is not None:
            part = self._parts[k]
            try:
                data = await self._fetch(part.first, part.last)
                if not await asyncio.to_thread(_fits, part, data):
                    raise BadAnswer(
                        "The origin sent bytes that do not fit their SHA-256.",
                        hint="Its copy may be damaged; it is asked again later.",
                    )
            except SeedkeepError as error:
                failures += 1
                if failures >= _ATTEMPTS or not (error.retryable or isinstance(error, BadAnswer)):
                    await self._tell(error)
                    raise
                continue
            failures = 0
            await self._draft.write(part.first, data)
            self._have[k] = True
            await self._tell(None)
        await self._draft.fsync()

    async def _tell(self, trouble: SeedkeepError | None) -> None:
        self._trouble = trouble
        async with self._news:
            self._news.notify_all()

    def _next(self) -> int | None:
        missing = [k for k, have in enumerate(self._have) if not have]
        if not missing:
            return None
        for head in self._heads.values():
            ahead = next((k for k in missing if self._parts[k].last >= head), None)
            if ahead is not None:
                return ahead
        return missing[0]

    def reader(self) -> "PatchReader":
        """Open the file for a viewer; its position steers what is fetched next."""
        self._tickets += 1
        return PatchReader(self, self._tickets)

    async def read(self, ticket: int, offset: int, length: int) -> bytes:
        k = next((k for k, p in enumerate(self._parts) if p.first <= offset <= p.last), None)
        if k is None:
            return b""
        self._heads[ticket] = offset
        async with self._news:
            await self._news.wait_for(lambda: self._have[k] or self._trouble is not None)
        if not self._have[k]:
            trouble = self._trouble
            raise NotPlayable(
                "origin_trouble", trouble.message if trouble else "The origin does not answer.", status=503
            )
        part = self._parts[k]
        return await self._draft.read(offset, min(length, part.last - offset + 1))

    def leave(self, ticket: int) -> None:
        self._heads.pop(ticket, None)

    @property
    def size(self) -> ByteCount:
        return self._size


class PatchReader:
    """A viewer's place in a file that is being fetched by ranges (``domain.shelf.Reader``)."""

    def __init__(self, work: Patchwork, ticket: int) -> None:
        self._work, self._ticket = work, ticket

    @property
    def size(self) -> ByteCount:
        return self._work.size

    async def read(self, offset: int, length: int) -> bytes:
        return await self._work.read(self._ticket, offset, length)

    async def close(self) -> None:
        self._work.leave(self._ticket)


def _fits(part: Patch, data: bytes) -> bool:
    if len(data) != part.last - part.first + 1:
        return False
    return part.sha256 is None or hashlib.sha256(data).hexdigest() == part.sha256
