"""A viewer's bytes while there is a budget of transfer: what is here is read, what would have to come once the budget
is used up is refused in a sentence. This module is that reader.
"""

import asyncio
from collections.abc import Callable

from appliance.domain.shelf import NotPlayable, Reader
from appliance.domain.units import ByteCount

_LOOK = 1.0
"""Seconds that bytes are waited for before the budget is looked at (again)."""


class QuotaReader:
    """A ``Reader`` over another. ``refusal`` says what is told while nothing may come, None while it may."""

    def __init__(self, inner: Reader, refusal: Callable[[], NotPlayable | None]) -> None:
        self._inner, self._refusal = inner, refusal

    @property
    def size(self) -> ByteCount:
        return self._inner.size

    async def read(self, offset: int, length: int) -> bytes:
        """As ``Reader.read``. Raises NotPlayable too where the bytes would have to come and may not."""
        reading = asyncio.ensure_future(self._inner.read(offset, length))
        try:
            while True:
                done, _ = await asyncio.wait({reading}, timeout=_LOOK)
                if done:
                    return await reading
                if (refusal := self._refusal()) is not None:
                    raise refusal
        finally:
            if not reading.done():
                reading.cancel()
                await asyncio.wait({reading})

    async def close(self) -> None:
        await self._inner.close()
