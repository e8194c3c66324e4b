"""Speaking on the household's links: this module says, says again and answers, and no more often than is polite.

RFC 6762: answers (6), simple resolvers (6.7), answers to one alone (5.4), announcements (8.3).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from appliance.lan.mdns_links import Link
from appliance.lan.mdns_packets import PORT, PTR, Heard, Record, legacy_response, response
from appliance.lan.mdns_records import answers_to

_AGAIN = 1.0
"""Seconds between an announcement and its repetition, and between two answers with the same record (8.3, 6)."""
_DEFEND = 0.25
"""The same for answers to probes (6)."""
_SHARED, _MORE, _SPREAD = 0.02, 0.4, 0.1
"""Seconds to wait where others may answer too, and where the asker has more to say first; and so much by chance (6)."""
_PENDING, _UNICASTS = 32, 20
"""Answers that wait for their time at most; unicast answers a second at most."""


class Speaker:
    """Sends for a responder. ``near`` tells who is of this network; ``chance`` returns numbers from 0 to 1."""

    def __init__(self, chance: Callable[[], float], near: Callable[[str], bool]) -> None:
        self._chance, self._near = chance, near
        self._later: set[asyncio.TimerHandle] = set()
        self._unicasts: deque[float] = deque(maxlen=_UNICASTS)

    def announce(self, link: Link) -> None:
        """Say all that is said on ``link``, twice (8.3)."""
        records = link.records
        self._say(link, records)
        self.later(_AGAIN, lambda: self._say(link, records) if link.ready and link.records == records else None)

    def rescue(self, link: Link) -> None:
        """Announce again what another machine, or another program of this one, withdrew though we have it too."""
        if _now() - max(link.sent.values(), default=float("-inf")) >= _AGAIN:
            self.announce(link)

    def answer(self, link: Link, heard: Heard, source: tuple[str, int]) -> None:
        """Answer a query or a probe from ``source`` as far as it is about us."""
        answers, additional = answers_to(heard, link.records)
        if not answers:
            return
        if source[1] != PORT:
            self._say_to(link, legacy_response(heard, answers, additional), source)
            return
        now = _now()
        age = {r.identity: now - link.sent.get(r.identity, float("-inf")) for r in answers}
        fresh = all(age[r.identity] < r.ttl / 4 for r in answers)  # everybody heard it not long ago (5.4)
        if fresh and not heard.probe and all(q.unicast for q in heard.questions):
            self._say_to(link, response(answers, additional), source)
            return
        due = [r for r in answers if age[r.identity] >= (_DEFEND if heard.probe else _AGAIN)]
        if heard.probe or not (heard.truncated or any(r.type == PTR for r in due)):
            self._say(link, due, additional)
        elif len(self._later) < _PENDING:
            wait = (_MORE if heard.truncated else _SHARED) + _SPREAD * self._chance()
            link.sent.update(dict.fromkeys((r.identity for r in due), now))
            self.later(wait, lambda: self._say(link, due, additional) if link.ready else None)

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """Call ``act`` then, unless ``close`` comes before."""

        def run() -> None:
            self._later.discard(handle)
            act()

        handle = asyncio.get_running_loop().call_later(seconds, run)
        self._later.add(handle)

    def close(self) -> None:
        """Forget what is to be said later."""
        for handle in self._later:
            handle.cancel()
        self._later.clear()

    def _say(self, link: Link, answers: Iterable[Record], additional: Iterable[Record] = ()) -> None:
        answers, additional = list(answers), list(additional)
        if answers:
            link.sent.update(dict.fromkeys((r.identity for r in (*answers, *additional)), _now()))
            link.send(response(answers, additional))

    def _say_to(self, link: Link, packet: bytes, source: tuple[str, int]) -> None:
        """Answer one alone, only of this network, and not without end."""
        now = _now()
        full = len(self._unicasts) == _UNICASTS and now - self._unicasts[0] < 1
        if not full and self._near(source[0]):
            self._unicasts.append(now)
            link.send_to(packet, source)


def _now() -> float:
    return asyncio.get_running_loop().time()
