"""An address and a method → what kind of place it is, and the scope a token needs there. This module is pure."""

from web.access.decide import Area, Scope

API = "/api/v1"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN = frozenset({"/health", f"{API}/health", "/favicon.ico", "/robots.txt"})
_PLAY = frozenset({"/library.m3u", "/library.m3u8"})
_OWNERS = frozenset({"settings", "tokens", "logins", "password"})
"""Resources that only the owner sees."""


def is_unsafe(method: str) -> bool:
    return method not in _SAFE


def place(method: str, path: str) -> tuple[Area, Scope]:
    """Return the area of a path below the mount, and the scope that a token needs there."""
    if path in _OPEN or path.startswith("/static/"):
        return Area.OPEN, Scope.PLAY
    if path in _PLAY or path.startswith("/media/"):
        return Area.PLAY, Scope.PLAY
    if path == "/dlna" or path.startswith("/dlna/"):
        return Area.DLNA, Scope.PLAY
    if path.rstrip("/") in ("/setup", "/login"):
        return (Area.SETUP if path.rstrip("/") == "/setup" else Area.LOGIN), Scope.ADMIN
    if path == "/api" or path.startswith("/api/"):
        return Area.API, _api_scope(method, path)
    return Area.PAGE, Scope.ADMIN


def _api_scope(method: str, path: str) -> Scope:
    resource = path.removeprefix(API).strip("/").partition("/")[0]
    if resource in _OWNERS:
        return Scope.ADMIN
    if not is_unsafe(method):
        return Scope.READ
    if resource == "pins":
        return Scope.PIN
    if path.rstrip("/") == f"{API}/plan/preview":
        return Scope.READ
    return Scope.ADMIN


def token_path(path: str) -> tuple[str, str] | None:
    """Return the token and the rest of ``/t/{token}/…``, or None for any other path."""
    if not path.startswith("/t/"):
        return None
    token, slash, rest = path[3:].partition("/")
    return (token, "/" + rest) if token and slash else None


def below(path: str, base: str) -> str | None:
    """Return what follows a base path (no slash at its end), or None where the path is not below it."""
    if not base:
        return None
    if path == base:
        return "/"
    return path[len(base) :] if path.startswith(base + "/") else None


def base_of(setting: str) -> str:
    """Return ``web.base_path`` with a slash at its beginning and none at its end; empty for none."""
    inner = setting.strip().strip("/")
    return "/" + inner if inner else ""
