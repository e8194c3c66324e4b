"""Why not, in words, and where a person should go instead. This module holds both."""

from urllib.parse import quote

from web.access.areas import is_unsafe
from web.access.decide import Denial
from web.problems import Problem

DENIALS = {
    Denial.FOREIGN_HOST: Problem(
        403,
        "foreign_host",
        "This address is not ours.",
        "Open Seedkeep by its own address, or name this one in the setting web.public_url.",
    ),
    Denial.NOT_SET_UP: Problem(
        403, "not_set_up", "Seedkeep is not set up yet.", "Open it in a browser and choose a password."
    ),
    Denial.SET_UP_ALREADY: Problem(409, "set_up_already", "Seedkeep is set up already.", "Log in instead."),
    Denial.LOGIN_NEEDED: Problem(
        401, "login_needed", "This needs a login or a token.", "Send a token as Authorization: Bearer …"
    ),
    Denial.BAD_TOKEN: Problem(401, "bad_token", "This token is not valid.", "Make a new one in the settings."),
    Denial.SCOPE_TOO_SMALL: Problem(
        403, "scope_too_small", "This token may not do that.", "Make one with a larger scope in the settings."
    ),
    Denial.CROSS_SITE: Problem(
        403, "cross_site", "This request was made by another site's page.", "Do it on Seedkeep's own page."
    ),
    Denial.CSRF: Problem(
        403, "csrf", "This form is too old, or is not ours.", "Go back, load the page again, and repeat."
    ),
    Denial.HOME_ONLY: Problem(
        403,
        "home_only",
        "This is for screens on the network at home.",
        "Ask from there, by an address of this machine; the setting web.play_without_login must be on.",
    ),
}


def instead(denial: Denial, method: str, path: str, query: bytes) -> str | None:
    """Return the page to go to in place of a refusal (from the mount), or None where there is none."""
    match denial:
        case Denial.NOT_SET_UP:
            return "/setup"
        case Denial.SET_UP_ALREADY:
            return "/"
        case Denial.LOGIN_NEEDED:
            if is_unsafe(method) or path == "/":
                return "/login"
            asked = path + ("?" + query.decode("latin-1") if query else "")
            return "/login?next=" + quote(asked, safe="/")
        case _:
            return None
