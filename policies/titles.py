"""Words and globs against titles: this module matches them, in time linear in the title.

A pattern is found anywhere in a title, as long as it begins and ends at the edge of a word; ``*`` stands for anything,
also for nothing, so a star at an end takes that edge away: ``news`` is the word, ``foot*`` a word that begins so,
``*cast*`` any title that contains it, ``part * of`` both words in this order. Case, runs of spaces and the way
accents are encoded make no difference. Scripts written without spaces have an edge at every character.

The pieces between stars are looked for one after the other, each at the first place after the one before: no place is
tried twice for the same piece, so no pattern, however many stars it has, makes a title expensive. The leftmost match
of each piece is enough, because a star does not care how much it takes.
"""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

LONGEST_PATTERN = 200
"""Characters of a pattern; an edge that is never there may cost one comparison of a piece at each place."""
LONGEST_TITLE = 10_000
"""Characters of a title that are looked at; origins allow about a hundred."""

_SPACELESS = (
    ("\u0e00", "\u0eff"),
    ("\u1000", "\u109f"),
    ("\u1780", "\u17ff"),
    ("\u3040", "\u30ff"),
    ("\u3400", "\u9fff"),
)
"""Thai and Lao, Burmese, Khmer, kana, Han: first and last character."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """What stands between two stars, and whether it must begin and end at the edge of a word."""

    text: str
    opens: bool
    closes: bool


def folded(text: str) -> str:
    """Return a text in the one form in which it is compared: case-folded, composed, single spaces."""
    text = text.casefold()
    return " ".join((text if text.isascii() else unicodedata.normalize("NFC", text)).split())


def matches(pattern: str, title: str) -> bool:
    """Say whether a title, as ``folded`` gives it, matches a pattern as a person wrote it."""
    title = title[:LONGEST_TITLE]
    at = 0
    for piece in _pieces(pattern):
        found = _find(piece, title, at)
        if found < 0:
            return False
        at = found + len(piece.text)
    return True


def first_match(patterns: tuple[str, ...], title: str) -> str | None:
    """Return the first of the patterns that a folded title matches."""
    return next((pattern for pattern in patterns if matches(pattern, title)), None)


@lru_cache(maxsize=1024)
def _pieces(pattern: str) -> tuple[_Piece, ...]:
    text = folded(pattern)
    parts = text.split("*")
    ends = len(parts) - 1
    return tuple(
        _Piece(part.strip(), n == 0 or part.startswith(" "), n == ends or part.endswith(" "))
        for n, part in enumerate(parts)
        if part.strip()
    )


def _find(piece: _Piece, title: str, at: int) -> int:
    """Return the first place from ``at`` on where the piece stands with the edges asked for, or -1."""
    while (found := title.find(piece.text, at)) >= 0:
        end = found + len(piece.text)
        if not (piece.opens and _joined(title, found)) and not (piece.closes and _joined(title, end)):
            return found
        at = found + 1
    return -1


def _joined(title: str, at: int) -> bool:
    """Say whether the characters before and after a place belong to one word."""
    return 0 < at < len(title) and _in_word(title[at - 1]) and _in_word(title[at])


def _in_word(char: str) -> bool:
    if any(first <= char <= last for first, last in _SPACELESS):
        return False
    return unicodedata.category(char)[0] in "LMN"
