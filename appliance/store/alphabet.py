"""The order in which people look for titles: this module makes what titles are sorted by. Pure."""

import re
import unicodedata
from functools import lru_cache

_NUMBER = re.compile(r"\d+")
_BEFORE_LETTERS = re.compile(r"""^[ \t"'«»„“”‘’(\[{<#*\-–—¿¡]+""", re.MULTILINE)
_FOREIGN = re.compile(r"[^\x00-\x7f]")


def alphabetical(folded: list[str]) -> list[str]:
    """Return folded titles as people look for them: letters without their marks, numbers by their value.

    They are worked on as one text, a line each, which takes about half the time that one after another does.
    """
    text = "\n".join(folded)
    if text.count("\n") != len(folded) - 1:
        return alphabetical([title.replace("\n", " ") for title in folded]) if folded else []
    if not text.isascii():
        text = _FOREIGN.sub(_unmarked, text)
    return _NUMBER.sub(_filled, _BEFORE_LETTERS.sub("", text)).split("\n")


def _filled(number: re.Match[str]) -> str:
    return number[0].zfill(9)


def _unmarked(letter: re.Match[str]) -> str:
    return _letters(letter[0])


@lru_cache(4096)
def _letters(letter: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(c))
