"""What a person pastes, and what it names: this module tells a channel from a video, a handle, a bare server.

Pure: nothing is asked. An address with a path that is not known here is left to ask about (``TargetKind.PAGE``).
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from appliance.errors import BadInput

LONGEST = 2000
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z", re.IGNORECASE)
_SHORT = re.compile(r"[1-9A-HJ-NP-Za-km-z]{22}\Z")
_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,120}\Z")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?\Z")
_BRACKETED = re.compile(r"\[[0-9a-f:.]{2,45}\]\Z")
_HANDLE = re.compile(r"@?([^@/\s]+)@([^@/\s]+)\Z")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(?://|(?=[A-Za-z?]))")

_ELSEWHERE = {
    "YouTube": ("youtube.com", "youtu.be", "youtube-nocookie.com"),
    "Vimeo": ("vimeo.com",),
    "Twitch": ("twitch.tv",),
    "Dailymotion": ("dailymotion.com", "dai.ly"),
    "Odysee": ("odysee.com",),
    "TikTok": ("tiktok.com",),
    "Facebook": ("facebook.com", "fb.watch"),
    "Instagram": ("instagram.com",),
    "X": ("twitter.com", "x.com"),
    "Rumble": ("rumble.com",),
    "BitChute": ("bitchute.com",),
}
_MAIL = frozenset(
    {"gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "yahoo.com", "icloud.com", "me.com"}
    | {"aol.com", "gmx.net", "gmx.de", "gmx.com", "web.de", "proton.me", "protonmail.com", "posteo.de", "mailbox.org"}
    | {"free.fr", "orange.fr", "laposte.net", "t-online.de"}
)


class TargetKind(StrEnum):
    CHANNEL = "channel"
    ACCOUNT = "account"
    INSTANCE = "instance"
    VIDEO = "video"
    HANDLE = "handle"
    PAGE = "page"


@dataclass(frozen=True, slots=True)
class Target:
    """What was pasted: ``host[:port]`` to ask, and the name there (a video's UUID or short id).

    ``scheme`` is None where the person did not say. ``url`` is the whole address for a page to be asked about.
    """

    kind: TargetKind
    host: str
    name: str = ""
    scheme: str | None = None
    url: str = ""


def pasted(text: str) -> Target:
    """Return what ``text`` names. Raises BadInput with what to do instead."""
    trimmed = text.strip().strip("<>\"'“”«»").strip()
    if not trimmed:
        raise _bad(
            "Nothing was pasted.", "Paste the address of a PeerTube channel, such as https://tube.example/c/name."
        )
    if len(trimmed) > LONGEST or not trimmed.isprintable():
        raise _bad("That is not an address.", "Paste only the address, from the browser's address bar.")
    _refuse_scheme(trimmed)
    handle = _HANDLE.match(trimmed.removeprefix("acct:"))
    if handle is not None:
        return _handle(handle[1], handle[2])
    return _from_url(trimmed if "://" in trimmed else f"//{trimmed}")


def _bad(message: str, hint: str) -> BadInput:
    return BadInput(message, hint=hint, field="url")


def _refuse_scheme(text: str) -> None:
    match = _SCHEME.match(text)
    scheme = match[1].lower() if match else ""
    if scheme == "magnet" or text.lower().endswith(".torrent"):
        raise _bad("Torrents on their own cannot be followed.", "Paste the address of the video or its channel.")
    if scheme == "mailto":
        raise _bad("That is an e-mail address.", "Paste the address of a PeerTube channel.")
    if match is not None and "." not in scheme and scheme not in ("http", "https") and "://" in text:
        raise _bad("Only web addresses can be followed.", "It should begin with https://.")
    if scheme in ("javascript", "data", "file"):
        raise _bad("That is not a web address.", "It should begin with https://.")


def _handle(name: str, host: str) -> Target:
    if "+" in name or host.lower() in _MAIL:
        raise _bad(f"{name}@{host} looks like an e-mail address.", "A channel's handle looks like @name@tube.example.")
    host = _checked_host(host)
    if not _NAME.match(name):
        raise _bad(f"{name} cannot be the name of a channel.", "A handle looks like @name@tube.example.")
    return Target(TargetKind.HANDLE, host, name)


def _checked_host(host: str, *, bare: bool = True) -> str:
    """Return ``host[:port]`` in its ASCII form, lower case. A ``bare`` one without a dot is taken for a stray word."""
    name, port = _split_port(host)
    try:
        name = name.rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        name = ""
    labels = name.split(".")
    if not _BRACKETED.match(name) and not (len(name) <= 253 and all(_LABEL.match(label) for label in labels)):
        raise _bad(f"{host[:80]} is not the name of a server.", "Check the address for typing errors.")
    if bare and len(labels) == 1 and not port and name != "localhost" and not _BRACKETED.match(name):
        raise _bad(
            f"{name} is not a whole address.", "Paste an address such as https://tube.example/c/name, or @name@host."
        )
    for service, domains in _ELSEWHERE.items():
        if any(name == domain or name.endswith("." + domain) for domain in domains):
            raise _bad(f"{service} is not a PeerTube server.", "Seedkeep follows channels on PeerTube.")
    return name + port


def _split_port(host: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host, ""
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        raise _bad(f"{host[:80]} has no port that can be.", "Check the address for typing errors.")
    return name, f":{int(port)}"


def _from_url(text: str) -> Target:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise _bad("That address is broken.", "Copy it again from the browser's address bar.") from error
    if "@" in parts.netloc:
        raise _bad("An address with a password in it is not accepted.", "Paste it without the part before the @.")
    scheme = parts.scheme.lower() or None
    host = _checked_host(parts.netloc.lower(), bare=scheme is None)
    segments = [unquote(s) for s in parts.path.split("/") if s]
    if segments[:2] == ["api", "v1"]:
        segments = segments[2:] or segments
    found = _by_path(segments, parts)
    if found is None:
        return Target(TargetKind.PAGE, host, scheme=scheme, url=_page(parts, host))
    kind, name = found
    if kind is TargetKind.VIDEO or kind is TargetKind.INSTANCE:
        return Target(kind, host, name, scheme)
    return _at_home(kind, name, host, scheme)


def _page(parts: SplitResult, host: str) -> str:
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme or 'https'}://{host}{parts.path}{query}"


def _at_home(kind: TargetKind, name: str, host: str, scheme: str | None) -> Target:
    """A name may carry its home, and it is followed there: other servers show copies of what they know."""
    name, _, home = name.removeprefix("@").partition("@")
    if not _NAME.match(name):
        raise _bad(f"{name[:80]} cannot be the name of a channel.", "Check the address for typing errors.")
    if home and _checked_host(home) != host:
        return Target(kind, _checked_host(home), name)
    return Target(kind, host, name, scheme)


def _by_path(segments: list[str], parts: SplitResult) -> tuple[TargetKind, str] | None:
    """Return the kind and name that a path of PeerTube's stands for, None for one that is not known."""
    match segments:
        case []:
            return TargetKind.INSTANCE, ""
        case ["w", "p", *_] | ["videos", "watch", "playlist", *_] | ["videos", "embed", "playlist", *_]:
            raise _playlist()
        case ["video-playlists" | "video-playlist", *_]:
            raise _playlist()
        case ["c" | "video-channels", name, *_]:
            return TargetKind.CHANNEL, name
        case ["a" | "accounts", name, *rest]:
            return (TargetKind.ACCOUNT, name) if name != "peertube" or rest else (TargetKind.INSTANCE, "")
        case ["w", ident, *_] | ["videos", "watch" | "embed", ident, *_] | ["videos", ident]:
            return _video(ident)
        case ["feeds", *_]:
            return _feed(parts)
        case ["videos" | "home" | "about" | "search", *_] | ["video-channels" | "accounts"]:
            return TargetKind.INSTANCE, ""
        case [name] if name.startswith("@"):
            return TargetKind.HANDLE, name
    return None


def _video(ident: str) -> tuple[TargetKind, str] | None:
    ident = ident.partition(";")[0]
    if _UUID.match(ident):
        return TargetKind.VIDEO, ident.lower()
    if _SHORT.match(ident):
        return TargetKind.VIDEO, ident
    if ident in ("browse", "trending", "overview", "recently-added", "most-liked", "local", "subscriptions"):
        return TargetKind.INSTANCE, ""
    raise _bad("The address names no video: a part of it is missing.", "Copy it again from the browser's address bar.")


def _feed(parts: SplitResult) -> tuple[TargetKind, str] | None:
    query = parse_qs(parts.query, max_num_fields=50)
    if "videoChannelName" in query:
        return TargetKind.CHANNEL, query["videoChannelName"][0]
    if "accountName" in query:
        return TargetKind.ACCOUNT, query["accountName"][0]
    return None


def _playlist() -> BadInput:
    return _bad("Playlists cannot be followed yet.", "Paste the channel's address, or that of one of its videos.")
