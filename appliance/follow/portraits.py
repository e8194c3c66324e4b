"""The channels' pictures: this module fetches each once for each address it has, and keeps it in a folder of its own.

A file is named ``<channel>.<digest of the address>``; what kind of picture it is stands in its first bytes, never in
what a server said of it.
"""

import asyncio
import hashlib
import logging
import os
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

from appliance.domain.channel import Channel, Portrait
from appliance.domain.picture import kind_of
from appliance.domain.units import ChannelId
from appliance.errors import DiskError, OriginError
from appliance.library.atomic import write_at
from appliance.outbound.fetch import Fetcher
from appliance.outbound.manners import Ask

MOST_BYTES = 1024 * 1024
_SECONDS = 20.0
_log = logging.getLogger(__name__)


class Portraits:
    """Pictures of channels in ``folder``, which is made when the first one comes."""

    def __init__(self, fetcher: Fetcher, folder: Path) -> None:
        self._fetcher, self._folder = fetcher, folder
        self._useless: dict[ChannelId, str] = {}

    async def look(self, channel: Channel) -> bool:
        """Make what we hold the picture at the channel's present address; answer whether it changed.

        What cannot be had leaves the one before. Of an address that answered with something else nothing is asked
        again until the program starts anew.
        """
        url = channel.info.avatar_url
        if url is None:
            return await asyncio.to_thread(self._drop, channel.id, "")
        name = f"{channel.id}.{hashlib.sha256(url.encode()).hexdigest()[:16]}"
        if self._useless.get(channel.id) == url or await asyncio.to_thread((self._folder / name).is_file):
            return False
        try:
            answer = await self._fetcher.get(
                url, ask=Ask.SIDE, accept="image/*", max_bytes=MOST_BYTES, timeout=_SECONDS
            )
        except OriginError as error:
            if not error.retryable:
                self._useless[channel.id] = url
            return False
        if kind_of(answer.body) is None:
            self._useless[channel.id] = url
            return False
        try:
            await asyncio.to_thread(self._keep, name, answer.body)
        except (DiskError, OSError) as error:
            _log.warning("The picture of channel %s cannot be kept: %s", channel.id, error)
            return False
        await asyncio.to_thread(self._drop, channel.id, name)
        return True

    async def of(self, channel: ChannelId) -> Portrait | None:
        """Return a channel's picture, None where there is none."""
        return await asyncio.to_thread(self._read, channel)

    async def sweep(self, followed: Container[ChannelId]) -> None:
        """Delete the pictures of channels that are not followed any more."""
        await asyncio.to_thread(self._sweep, followed)

    # In a thread

    def _names(self) -> list[str]:
        try:
            return os.listdir(self._folder)
        except OSError:
            return []

    def _keep(self, name: str, data: bytes) -> None:
        self._folder.mkdir(exist_ok=True)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            write_at(folder, name, data)
        finally:
            os.close(folder)

    def _drop(self, channel: ChannelId, but: str) -> bool:
        old = [name for name in self._names() if name.partition(".")[0] == channel and name != but]
        for name in old:
            with suppress(OSError):
                (self._folder / name).unlink()
        return bool(old)

    def _read(self, channel: ChannelId) -> Portrait | None:
        """Only names that stand in the folder are opened: what a visitor asks for never becomes a path."""
        name = next((name for name in self._names() if name.partition(".")[0] == channel), None)
        if name is None:
            return None
        try:
            with (self._folder / name).open("rb") as file:
                data = file.read(MOST_BYTES)
        except OSError:
            return None
        kind = kind_of(data)
        return None if kind is None else Portrait(kind, data)

    def _sweep(self, followed: Container[ChannelId]) -> None:
        for name in self._names():
            if name.partition(".")[0] not in followed:
                with suppress(OSError):
                    (self._folder / name).unlink()
