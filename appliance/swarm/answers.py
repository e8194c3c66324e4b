"""Questions that libtorrent answers by an alert: this module matches the answer to whoever waits for it."""

import asyncio
from typing import Any

from appliance.errors import SwarmError

Key = tuple[object, ...]


class Answers:
    """Waiters by key. Several may wait for one answer; what nobody waits for is dropped."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._waiting: dict[Key, asyncio.Future[Any]] = {}

    def expect(self, *key: object) -> "Answer":
        """Start waiting now, before the question is put, so that no answer is missed."""
        return Answer(self, key)

    def give(self, value: Any, *key: object) -> None:
        if (future := self._waiting.pop(key, None)) and not future.done():
            future.set_result(value)

    def fail(self, message: str, *key: object) -> None:
        if (future := self._waiting.pop(key, None)) and not future.done():
            future.set_exception(SwarmError(message))

    def abandon(self, key: Key) -> None:
        self._waiting.pop(key, None)

    def waits(self, *key: object) -> bool:
        return key in self._waiting

    def fail_all(self, message: str) -> None:
        for key in list(self._waiting):
            self.fail(message, *key)

    def future(self, key: Key) -> asyncio.Future[Any]:
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
            future.add_done_callback(lambda f: f.cancelled() or f.exception())  # nobody may be left to look
        return future


class Answer:
    """One awaited answer; shields it, so that one waiter's cancellation leaves the others waiting."""

    def __init__(self, answers: Answers, key: Key) -> None:
        self._answers, self._key = answers, key
        self._future = answers.future(key)

    async def get(self) -> Any:
        """Return the answer. Raises SwarmError when it was a refusal or did not come in time."""
        try:
            async with asyncio.timeout(self._answers.seconds):
                return await asyncio.shield(self._future)
        except TimeoutError as late:
            self._answers.abandon(self._key)
            raise SwarmError(f"The BitTorrent engine did not answer in {self._answers.seconds:.0f} s.") from late
