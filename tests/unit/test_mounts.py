"""The kernel's word that a disk came or went."""

import asyncio
import subprocess
from pathlib import Path

from appliance.host.mounts import MountWatch
from tests.world.lab import not_run


def _mount(folder: Path) -> bool:
    return not subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder)], capture_output=True).returncode


async def test_a_disk_that_comes_and_goes_is_told_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    async with MountWatch() as watch:
        if not await asyncio.to_thread(_mount, folder):
            not_run("a file system cannot be mounted")
        async with asyncio.timeout(5):
            await watch.changed()
        await asyncio.to_thread(subprocess.run, ["umount", str(folder)], check=True)
        async with asyncio.timeout(5):
            await watch.changed()


async def test_nothing_is_left_of_a_watch_that_heard_nothing() -> None:
    async with MountWatch():
        pass
