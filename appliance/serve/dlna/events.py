"""Subscriptions to what changes (GENA, UPnP Device Architecture 1.1, 4): this module keeps them and tells subscribers.

The first event goes out only after the answer to the subscription did, with every variable; later ones name what
changed, not more often than every five seconds. Who does not answer three times in a row is forgotten.
"""

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from appliance.clock import Clock
from appliance.lan.notify import Callback
from appliance.serve.dlna.services import Service
from appliance.serve.dlna.soap import text_of

LONGEST, SHORTEST = 1800, 60
"""Seconds that a subscription lasts unless renewed."""
MODERATION = 5.0
"""Seconds between two events to one subscriber at least (ContentDirectory:1, 2.5.20)."""
MOST, MOST_OF_HOST = 128, 12
_FAILURES = 3
_TIMEOUT = re.compile(r"\s*Second-(\d{1,9}|infinite)\s*", re.IGNORECASE)

Notify = Callable[[Callback, tuple[tuple[str, str], ...], bytes], Awaitable[bool]]
"""Sends one NOTIFY and says whether it was taken; never raises."""
Values = Callable[[Service], Mapping[str, str]]
"""A service's evented variables as they are now."""


class Unwelcome(Exception):
    """A subscription that is not taken, renewed or ended. ``status`` is the HTTP status (4.1.2)."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


@dataclass(eq=False, slots=True)
class Subscription:
    """``until`` is monotonic seconds. ``pending`` are the names of the variables to be told next."""

    sid: str
    service: Service
    source: str
    callback: Callback
    until: float
    seconds: int
    pending: set[str]
    stirred: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Subscriptions:
    """All subscriptions. Call it from the loop; ``close`` ends what it sends."""

    def __init__(self, notify: Notify, values: Values, clock: Clock) -> None:
        self._notify, self._values, self._clock = notify, values, clock
        self._all: dict[str, Subscription] = {}

    def __len__(self) -> int:
        return len(self._all)

    def take(self, service: Service, source: str, callback: Callback, timeout: str) -> Subscription:
        """Take a new one. ``begin`` it once its answer is out. Raises Unwelcome (503) where there are too many."""
        self._drop_old()
        of_host = sum(1 for one in self._all.values() if one.source == source)
        if len(self._all) >= MOST or of_host >= MOST_OF_HOST:
            raise Unwelcome(503)
        seconds = _seconds(timeout)
        until = self._clock.monotonic() + seconds
        made = Subscription(f"uuid:{uuid.uuid4()}", service, source, callback, until, seconds, set(service.evented()))
        self._all[made.sid] = made
        return made

    def begin(self, subscription: Subscription) -> None:
        """Tell the subscriber everything, then what changes."""
        if self._all.get(subscription.sid) is subscription and subscription.task is None:
            subscription.stirred.set()
            subscription.task = asyncio.create_task(self._tell(subscription), name=f"events {subscription.sid}")

    def renew(self, service: Service, source: str, sid: str, timeout: str) -> Subscription:
        """Prolong one. Raises Unwelcome (412) where there is none of that id for this service and host."""
        self._drop_old()
        found = self._found(service, source, sid)
        found.seconds = _seconds(timeout)
        found.until = self._clock.monotonic() + found.seconds
        return found

    def end(self, service: Service, source: str, sid: str) -> None:
        """Forget one. Raises Unwelcome (412)."""
        self._forget(self._found(service, source, sid))

    def changed(self, service: Service, *names: str) -> None:
        """Have subscribers told that these variables have other values."""
        self._drop_old()
        for one in self._all.values():
            if one.service is service:
                one.pending.update(names)
                one.stirred.set()

    async def close(self) -> None:
        tasks = [one.task for one in self._all.values() if one.task is not None]
        for one in list(self._all.values()):
            self._forget(one)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _found(self, service: Service, source: str, sid: str) -> Subscription:
        found = self._all.get(sid.strip())
        if found is None or found.service is not service or found.source != source:
            raise Unwelcome(412)
        return found

    def _forget(self, subscription: Subscription) -> None:
        self._all.pop(subscription.sid, None)
        if subscription.task is not None and subscription.task is not asyncio.current_task():
            subscription.task.cancel()

    def _drop_old(self) -> None:
        now = self._clock.monotonic()
        for one in [one for one in self._all.values() if one.until < now]:
            self._forget(one)

    async def _tell(self, one: Subscription) -> None:
        number = failures = 0
        while True:
            await one.stirred.wait()
            one.stirred.clear()
            if self._clock.monotonic() > one.until:
                return self._forget(one)
            names, one.pending = one.pending, set()
            values = {name: value for name, value in self._values(one.service).items() if name in names}
            taken = await self._notify(one.callback, _headers(one.sid, number), property_set(values))
            number = following(number)
            failures = 0 if taken else failures + 1
            if failures >= _FAILURES:
                return self._forget(one)
            if not taken:
                one.pending |= names  # told with the next change: nothing is said to one who does not listen
            await self._clock.sleep(MODERATION)


def following(number: int) -> int:
    """Return the number of the event after this one: 0 is the first's alone (4.3.2)."""
    return 1 if number == 2**32 - 1 else number + 1


def _seconds(timeout: str) -> int:
    found = _TIMEOUT.fullmatch(timeout)
    if found is None or not found[1].isdigit():
        return LONGEST
    return min(LONGEST, max(SHORTEST, int(found[1])))


def _headers(sid: str, number: int) -> tuple[tuple[str, str], ...]:
    return (
        ("CONTENT-TYPE", 'text/xml; charset="utf-8"'),
        ("NT", "upnp:event"),
        ("NTS", "upnp:propchange"),
        ("SID", sid),
        ("SEQ", str(number)),
    )


def property_set(values: Mapping[str, str]) -> bytes:
    """Return the body of an event."""
    inner = "".join(f"<e:property><{name}>{text_of(value)}</{name}></e:property>" for name, value in values.items())
    text = f'<?xml version="1.0" encoding="utf-8"?>\n<e:propertyset xmlns:e="urn:schemas-upnp-org:event-1-0">{inner}'
    return f"{text}</e:propertyset>".encode()
