"""The time zone this machine is set to. This module reads it where Linux keeps it."""

import os
from collections.abc import Mapping
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

_FOLDER = "zoneinfo/"


def host_zone(environment: Mapping[str, str] = os.environ, root: Path = Path("/")) -> tzinfo:
    """Return the zone named by TZ, by the link ``/etc/localtime`` or by ``/etc/timezone``, in this order; else what
    ``/etc/localtime`` holds without a name; else UTC. Reads files: not for the event loop.
    """
    link = root / "etc/localtime"
    for name in (environment.get("TZ", "").lstrip(":"), _linked(link), _text(root / "etc/timezone")):
        found = _named(name.rpartition(_FOLDER)[2])
        if found is not None:
            return found
    try:
        with open(link, "rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC


def _linked(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")[:200].strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _named(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ValueError, OSError, LookupError):
        return None
