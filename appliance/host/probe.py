"""What this machine is and how it does: this module asks, mostly through psutil. It blocks: call it in a thread."""

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from appliance.domain.units import ByteCount

_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "sshfs", "fuse.sshfs", "davfs", "9p", "ceph", "glusterfs"}
)


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """The disk that holds a path. ``removable``: it may be pulled out (USB, card); None where nobody knows."""

    mount: str
    device: str
    filesystem: str
    total: ByteCount
    free: ByteCount
    network: bool
    removable: bool | None


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """This process: resident memory, CPU seconds since its start, threads, open files, seconds since its start."""

    rss: ByteCount
    cpu_seconds: float
    threads: int
    open_files: int
    uptime: float


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """The machine: memory, processors, the load of the last minute (None where unknown), seconds since it started."""

    memory: ByteCount
    memory_free: ByteCount
    processors: int
    load: float | None
    uptime: float


def disk_of(path: Path) -> DiskFacts:
    """Return the disk that holds ``path``, which must exist. Raises OSError."""
    found = os.statvfs(path)
    mount, device, filesystem = _mount_of(path.resolve())
    network = filesystem in _NETWORK
    return DiskFacts(
        mount=mount,
        device=device,
        filesystem=filesystem,
        total=ByteCount(found.f_blocks * found.f_frsize),
        free=ByteCount(found.f_bavail * found.f_frsize),
        network=network,
        removable=None if network else _removable(path),
    )


def process(now: float) -> ProcessFacts:
    """Return how this process does; ``now`` is the present as seconds since 1970."""
    me = psutil.Process()
    with me.oneshot():
        times = me.cpu_times()
        return ProcessFacts(
            rss=ByteCount(me.memory_info().rss),
            cpu_seconds=times.user + times.system,
            threads=me.num_threads(),
            open_files=me.num_fds(),
            uptime=max(0.0, now - me.create_time()),
        )


def machine(now: float) -> MachineFacts:
    """Return how the machine does; ``now`` is the present as seconds since 1970."""
    memory = psutil.virtual_memory()
    try:
        load = os.getloadavg()[0]
    except OSError:
        load = None
    return MachineFacts(
        memory=ByteCount(memory.total),
        memory_free=ByteCount(memory.available),
        processors=os.cpu_count() or 1,
        load=load,
        uptime=max(0.0, now - psutil.boot_time()),
    )


def _mount_of(path: Path) -> tuple[str, str, str]:
    """(mount point, device, file system) of the innermost mount above ``path``."""
    best = ("/", "", "")
    for part in psutil.disk_partitions(all=True):
        if path.is_relative_to(part.mountpoint) and len(part.mountpoint) >= len(best[0]):
            best = (part.mountpoint, part.device, part.fstype)
    return best


def _removable(path: Path) -> bool | None:
    """Ask the kernel about the block device, or the disk that a partition is part of."""
    number = os.stat(path).st_dev
    entry = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    try:
        real = entry.resolve(strict=True)
    except OSError:
        return None
    if "/usb" in str(real) or "/mmc_host/" in str(real):
        return True
    for place in (real, real.parent):
        try:
            return (place / "removable").read_text().strip() == "1"
        except OSError:
            continue
    return None
