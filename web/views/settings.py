"""Every setting for a person: grouped, with its source, its range and its lock. This module builds the fields."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from appliance.book import LARGEST
from appliance.errors import BadInput
from appliance.store.logins import Login, Token
from web.services import Option, Source
from web.views import words

GROUPS = {
    "": "Folders",
    "web": "Dashboard",
    "follow": "Following",
    "swarm": "Swarm",
    "library": "Disk",
    "pin": "Pinning",
    "plan": "Planning",
    "lan": "This network",
    "tv": "Televisions",
}
"""Groups in the order they are shown. Limits have a page of their own, the first password has none."""

LABELS = {
    "host": "Listen address",
    "base_path": "Base path",
    "public_url": "Public address",
    "play_without_login": "Play without a login",
    "allow_private_origins": "Private origins",
    "contact": "Contact for origins",
    "listen_port": "Peer port",
    "dht": "DHT",
    "dht_bootstrap": "DHT bootstrap nodes",
    "lsd": "Local peer discovery",
    "upnp": "Open the port on the router",
    "outgoing_utp": "Outgoing uTP",
    "peers_per_video": "Peers for each video",
    "webtorrent": "WebTorrent",
    "floor_bytes": "Floor, GB",
    "floor_percent": "Floor, percent",
    "at_once": "Videos at once",
    "origin_daily_bytes": "From one server, GB a day",
    "announce_at_once": "Videos that look for peers at once",
    "challenge_daily_bytes": "Checks of copies, GB a day",
    "protect_days": "Patience with an origin, days",
    "patience": "Patience with a silent video, seconds",
    "watched": "What was only watched",
    "cache_bytes": "Room for what was watched, GB",
    "web_videos": "Plain MP4 files too",
    "mdns": "Announce on this network",
    "name": "Name of this box",
    "dlna": "Show on televisions (DLNA)",
    "allow_interfaces": "Interfaces of this network",
    "deny_interfaces": "Interfaces left out",
    "copies": "Copies for televisions",
    "copies_bytes": "Room for copies, GB",
    "data_dir": "Data folder",
    "library_dir": "Media folder",
    "export_dir": "Folder for exports",
}


@dataclass(frozen=True, slots=True)
class Pick:
    value: str
    label: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Field:
    """One setting. ``kind`` is switch, number, text or choice; ``value`` stands in the field as it is."""

    key: str
    id: str
    label: str
    sentence: str
    kind: str
    value: str
    on: bool
    picks: tuple[Pick, ...]
    source: str
    locked: bool
    error: str


@dataclass(frozen=True, slots=True)
class Group:
    id: str
    name: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class TokenRow:
    id: str
    name: str
    scope: str
    made: str
    used: str


@dataclass(frozen=True, slots=True)
class SessionRow:
    id: str
    device: str
    seen: str
    ours: bool


def groups(
    options: Iterable[Option], errors: Mapping[str, str] | None = None, typed: Mapping[str, str] | None = None
) -> tuple[Group, ...]:
    """Return every setting in its group; ``typed`` is what a person just sent and had refused, shown again."""
    found: dict[str, list[Field]] = {name: [] for name in GROUPS}
    for option in options:
        group, _, name = option.path.rpartition(".")
        if group in found and not option.secret:
            found[group].append(_field(option, name, (errors or {}).get(option.path, ""), typed or {}))
    return tuple(Group(name or "folders", GROUPS[name], tuple(fields)) for name, fields in found.items() if fields)


def parse(option: Option, text: str) -> object:
    """Return what a person typed as the setting's own type; raises ValueError with one sentence."""
    text = text.strip()
    if isinstance(option.default, bool):
        return text == "on"
    if option.optional and not text:
        return None
    if _is_number(option):
        try:
            value = float(text.replace(",", "."))
        except ValueError:
            raise ValueError("This must be a number.") from None
        if not math.isfinite(value * 1e9):
            raise ValueError("This number is too large.")
        scale = 1e9 if option.path.endswith("_bytes") else 1
        _check(option, value, scale)
        return value if isinstance(option.default, float) else round(value * scale)
    return text


def _check(option: Option, value: float, scale: float) -> None:
    """Raise ValueError with one sentence for a number outside its setting's bounds, in the field's own unit."""
    least, most = option.least, option.most
    bounded = most is not None and most < LARGEST
    if (least is not None and value * scale < least) or (bounded and value * scale > cast(float, most)):
        up_to = f"to {cast(float, most) / scale:,.15g}" if bounded else "on"
        raise ValueError(f"Write a number from {(least or 0) / scale:,.15g} {up_to}.")
    if value * scale > LARGEST:
        raise ValueError("This number is too large.")


def refused(option: Option, error: BadInput) -> str:
    """Return what a field says of a text that was refused; what the setting is stands above it already."""
    said = error.message.removeprefix(f"{error.field}: ")
    hint = "" if error.hint.startswith(option.description) else error.hint
    return f"{said[:1].upper()}{said[1:]} {hint}".strip()


def _is_number(option: Option) -> bool:
    """Tell whether a setting counts something; one that may be empty has no default to see that by."""
    return isinstance(option.default, int | float) or option.path.endswith("_bytes")


def untouched(option: Option, text: str) -> bool:
    """Tell whether ``text`` is what the page showed: sizes are shown rounded, and must not be saved so unasked."""
    return not isinstance(option.default, bool) and text.strip() == _shown(option.value, option.path.endswith("_bytes"))


def _field(option: Option, name: str, error: str, typed: Mapping[str, str]) -> Field:
    in_gb = option.path.endswith("_bytes")
    switch = isinstance(option.default, bool)
    sentence = option.description
    if in_gb:  # a person counts in GB here, files and the API in bytes
        sentence = re.sub("^Bytes ", "GB ", sentence.replace(", in bytes", ""))
    kind = "switch" if switch else "choice" if option.choices else "text"
    if kind == "text" and _is_number(option):
        kind = "number"
    return Field(
        key=option.path,
        id=option.path.replace(".", "-"),
        label=LABELS.get(name, name.replace("_", " ").capitalize()),
        sentence=sentence + (" Needs a restart." if option.needs_restart else ""),
        kind=kind,
        value=typed.get(option.path, _shown(option.value, in_gb)),
        on=option.path in typed if typed and switch else bool(option.value),
        picks=tuple(Pick(choice, choice.replace("_", " "), choice == option.value) for choice in option.choices),
        source=source(option),
        locked=option.locked_by is not None,
        error=error,
    )


def source(option: Option) -> str:
    """Return where a value comes from, in words."""
    match option.source:
        case Source.DEFAULT:
            return "default" if option.locked_by is None else "default; set only in a file or the environment"
        case Source.SAVED:
            return "set here"
        case Source.FILE | Source.ENVIRONMENT:
            return f"fixed by {option.locked_by}" if option.locked_by else "fixed outside"


def _shown(value: Any, in_gb: bool) -> str:
    if value is None:
        return ""
    if in_gb:
        return f"{value / 1e9:.3f}".rstrip("0").rstrip(".")
    return f"{value:g}" if isinstance(value, float) else str(value)


def token_rows(tokens: Iterable[Token], now: datetime) -> tuple[TokenRow, ...]:
    return tuple(
        TokenRow(t.id, t.name, t.scope, words.ago(t.created_at, now), words.ago(t.last_used, now)) for t in tokens
    )


def session_rows(logins: Iterable[Login], ours: str, now: datetime) -> tuple[SessionRow, ...]:
    """Return who is logged in; ``ours`` is the digest of the login that asks."""
    return tuple(
        SessionRow(
            login.digest[:16],
            login.label or "A browser",
            f"seen {words.ago(login.last_seen, now)}",
            login.digest == ours,
        )
        for login in logins
    )


def megabytes(limit: int | None) -> str:
    """Return a limit in bytes/s as the MB/s that stand in a field; unlimited is an empty field."""
    return "" if limit is None else f"{limit / 1e6:.3f}".rstrip("0").rstrip(".") or "0"


def bytes_per_second(text: str) -> int | None:
    """Return a typed limit (MB/s, empty: unlimited) in bytes/s; raises ValueError with one sentence."""
    text = text.strip().replace(",", ".")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise ValueError("Write a number, or leave the field empty for no limit.") from None
    if not 0 <= value <= 100_000:
        raise ValueError("Write a number from 0 to 100,000.")
    return round(value * 1e6)


@dataclass(frozen=True, slots=True)
class Limit:
    """One field of the bandwidth page."""

    key: str
    name: str
    hint: str
    value: str
    now: str
    source: str
    locked: bool
    error: str


LIMITS = {
    "upload": ("Upload to the internet", "Peers and screens outside this network together."),
    "download": ("Download from the internet", "Swarms, web seeds and origins together."),
    "lan_upload": ("Upload on this network", "To BitTorrent peers on this network. Screens are never limited."),
    "lan_download": ("Download on this network", "From BitTorrent peers on this network."),
}


def limits(
    options: Iterable[Option], errors: Mapping[str, str] | None = None, typed: Mapping[str, str] | None = None
) -> tuple[Limit, ...]:
    """Return the limits as the bandwidth page shows them."""
    by_path = {option.path: option for option in options}
    rows = []
    for key, (name, hint) in LIMITS.items():
        option = by_path[f"bandwidth.{key}"]
        rows.append(
            Limit(
                key=key,
                name=name,
                hint=hint,
                value=(typed or {}).get(key, megabytes(option.value)),
                now=words.limit(option.value) + (f" ({_megabits(option.value)})" if option.value else ""),
                source=source(option),
                locked=option.locked_by is not None,
                error=(errors or {}).get(key, ""),
            )
        )
    return tuple(rows)


def _megabits(per_second: int) -> str:
    return f"{per_second * 8 / 1e6:.1f}".removesuffix(".0") + "\u00a0Mbit/s"
