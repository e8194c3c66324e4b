"""The facts of one request → allowed, or the one reason why not. This module decides access, and is pure."""

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a token may do; each one includes those before it."""

    PLAY = "play"
    READ = "read"
    PIN = "pin"
    ADMIN = "admin"

    def covers(self, other: "Scope") -> bool:
        order = list(Scope)
        return order.index(self) >= order.index(other)


class Area(StrEnum):
    """What kind of place an address is."""

    OPEN = "open"
    SETUP = "setup"
    LOGIN = "login"
    PLAY = "play"
    DLNA = "dlna"
    API = "api"
    PAGE = "page"


class Denial(StrEnum):
    FOREIGN_HOST = "foreign_host"
    NOT_SET_UP = "not_set_up"
    SET_UP_ALREADY = "set_up_already"
    LOGIN_NEEDED = "login_needed"
    BAD_TOKEN = "bad_token"
    SCOPE_TOO_SMALL = "scope_too_small"
    CROSS_SITE = "cross_site"
    CSRF = "csrf"
    HOME_ONLY = "home_only"


class Ground(StrEnum):
    """Why a request is let through."""

    OPEN = "open"
    TOKEN = "token"
    LOGIN = "login"
    NEARNESS = "nearness"


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a decision may look at.

    ``host_ours``: the Host cannot have been chosen by a stranger's DNS; ``host_home``: it is one of our own names and
    addresses. ``near``: the connection comes from loopback or a subnet of ours. ``token`` is a valid token's scope,
    ``bad_token`` that one was shown and is not valid. ``csrf`` is true where the session's own token came along.
    """

    area: Area
    needs: Scope
    unsafe: bool
    host_ours: bool
    host_home: bool
    near: bool
    forwarded: bool
    cross_site: bool
    set_up: bool
    play_without_login: bool
    login: bool = False
    csrf: bool = False
    token: Scope | None = None
    bad_token: bool = False


def decide(facts: Facts) -> Ground | Denial:
    """Return why the request is let through, or why not.

    A token is no ambient authority (a browser does not add it by itself), so it needs no Host, origin or form token.
    """
    if facts.token is not None and facts.area in (Area.API, Area.PLAY):
        return Ground.TOKEN if facts.token.covers(facts.needs) else Denial.SCOPE_TOO_SMALL
    if facts.bad_token and facts.area in (Area.API, Area.PLAY):
        return Denial.BAD_TOKEN
    if not facts.host_ours:
        return Denial.FOREIGN_HOST
    match facts.area:
        case Area.OPEN:
            return Ground.OPEN
        case Area.SETUP | Area.LOGIN:
            return _entry(facts)
        case Area.PLAY:
            return _play(facts)
        case Area.DLNA:
            return _dlna(facts)
        case Area.API | Area.PAGE:
            return _house(facts)


def _entry(facts: Facts) -> Ground | Denial:
    if facts.area is Area.SETUP and facts.set_up:
        return Denial.SET_UP_ALREADY
    if facts.area is Area.LOGIN and not facts.set_up:
        return Denial.NOT_SET_UP
    return Denial.CROSS_SITE if facts.unsafe and facts.cross_site else Ground.OPEN


def _play(facts: Facts) -> Ground | Denial:
    if not facts.set_up:
        return Denial.NOT_SET_UP
    if facts.login:
        return Ground.LOGIN
    at_home = facts.near and facts.host_home and not facts.forwarded
    return Ground.NEARNESS if facts.play_without_login and at_home else Denial.LOGIN_NEEDED


def _dlna(facts: Facts) -> Ground | Denial:
    """Screens have no login and no token; nobody else has any business here, whatever they show."""
    if not facts.set_up:
        return Denial.NOT_SET_UP
    if facts.cross_site:
        return Denial.CROSS_SITE
    at_home = facts.near and facts.host_home and not facts.forwarded
    return Ground.NEARNESS if facts.play_without_login and at_home else Denial.HOME_ONLY


def _house(facts: Facts) -> Ground | Denial:
    if not facts.set_up:
        return Denial.NOT_SET_UP
    if not facts.login:
        return Denial.LOGIN_NEEDED
    if facts.unsafe and facts.cross_site:
        return Denial.CROSS_SITE
    if facts.unsafe and not facts.csrf:
        return Denial.CSRF
    return Ground.LOGIN
