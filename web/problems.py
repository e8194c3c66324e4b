"""What goes wrong, as an answer: RFC 9457 problem details for programs, a page for people. This module makes both.

Everything that is refused becomes a ``Problem`` first; who asks decides how it is told.
"""

import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from appliance.errors import BadInput, DiskError, NoSpace, OriginError, SeedkeepError

PROBLEM_TYPE = "application/problem+json"
_MOST_DETAIL = 500
"""Characters of a message that may quote what was sent to us."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One refusal: an HTTP status, a stable code, one plain sentence, and what can be done.

    ``field`` names the part of the input that is wrong; ``after`` is when to try again, in seconds from now.
    """

    status: int
    code: str
    detail: str
    hint: str = ""
    field: str = ""
    after: float | None = None

    @property
    def title(self) -> str:
        return HTTPStatus(self.status).phrase

    def body(self) -> bytes:
        """Return the problem as JSON (RFC 9457, 3)."""
        told: dict[str, Any] = {
            "type": f"urn:seedkeep:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail[:_MOST_DETAIL],
            "code": self.code,
        }
        if self.hint:
            told["hint"] = self.hint
        if self.field:
            told["field"] = self.field[:_MOST_DETAIL]
        if self.after is not None:
            told["retry_after"] = math.ceil(self.after)
        return msgspec.json.encode(told)

    def headers(self) -> dict[str, str]:
        """Return the headers that belong to it whatever its form."""
        found = {"cache-control": "no-store"}
        if self.after is not None:
            found["retry-after"] = str(max(1, math.ceil(self.after)))
        if self.status == HTTPStatus.UNAUTHORIZED:
            found["www-authenticate"] = 'Bearer realm="seedkeep"'
        return found


class Refusal(Exception):
    """The web refuses a request by itself: not found, too many, not now."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def not_found(what: str) -> Refusal:
    """Return the refusal for an id of ours that names nothing: ``what`` is ``channel``, ``video``…"""
    return Refusal(Problem(404, "not_found", f"There is no such {what}.", "It may have been removed meanwhile."))


def of_error(error: SeedkeepError) -> Problem:
    """Return the problem an error of the house comes to.

    What an origin answered is not ours to repeat as a gateway's failure: the address we were given could not be used.
    """
    match error:
        case BadInput():
            return Problem(400, error.code, error.message, error.hint, error.field)
        case OriginError():
            return Problem(422, error.code, error.message, error.hint, after=getattr(error, "after", None))
        case NoSpace():
            return Problem(507, error.code, error.message, error.hint)
        case DiskError():
            return Problem(503, error.code, error.message, error.hint)
        case _:
            return Problem(503, error.code, error.message, error.hint)


_FIELD = re.compile(r"(?:unknown|required) field `([^`]*)`")
"""How msgspec names a field that is too many or missing."""

_CODES = {
    400: "bad_input",
    401: "login_needed",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
    503: "unavailable",
}


def of_status(status: int, detail: str = "", extra: object = None) -> Problem:
    """Return the problem of a framework's refusal: its status, its words, and the fields it found wrong."""
    if status == 404:
        return Problem(404, "not_found", "There is nothing at this address.")
    if status == 405:
        return Problem(405, "method_not_allowed", "This address does not take that method.")
    if status == 413:
        return Problem(413, "too_large", "What was sent is too large.")
    field, words = _first_wrong(extra)
    return Problem(
        status, _CODES.get(status, "refused" if status < 500 else "error"), words or _plain(detail), field=field
    )


def _first_wrong(extra: object) -> tuple[str, str]:
    """Return the field and the sentence of a validation error (Litestar's ``extra``), empty where it has none."""
    if not isinstance(extra, Sequence) or isinstance(extra, str | bytes) or not extra:
        return "", ""
    first = extra[0]
    if not isinstance(first, Mapping):
        return "", ""
    words, key = str(first.get("message", "")), str(first.get("key", ""))
    if words == "'data'":
        return "", "A JSON body is needed."
    within = "" if key == "data" else key
    named = _FIELD.search(words)
    return ".".join(part for part in (within, named.group(1) if named else "") if part), _sentence(words)


def _sentence(words: str) -> str:
    words = words.strip()
    return words if not words or words.endswith(".") else words + "."


def _plain(detail: str) -> str:
    """Return a framework's message without the request it quotes."""
    return _sentence(detail.split(" for ")[0]) if detail.startswith("Validation failed") else _sentence(detail)


def bare_page(problem: Problem) -> str:
    """Return a page that needs no template: for requests that get no further than the door."""
    hint = f"<p>{html.escape(problem.hint)}</p>" if problem.hint else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{problem.title} · Seedkeep</title>"
        f"<body><h1>{html.escape(problem.title)}</h1><p>{html.escape(problem.detail)}</p>{hint}</body></html>"
    )
