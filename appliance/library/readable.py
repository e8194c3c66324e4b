"""File names that people read, made of titles that strangers wrote: this module makes them safe on any file system."""

import re
import unicodedata

MOST = 120
"""Bytes of a readable part; with date, id and extension a name stays far below what file systems hold."""

_BAD = re.compile(r'[\\/:*?"<>|%#]+')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""Names that Windows takes for devices."""


def readable(text: str, fallback: str = "Untitled") -> str:
    """Return ``text`` as a part of a file name: printable, on one line, without separators, at most ``MOST`` bytes.

    What reads from right to left or is hidden (format characters) is dropped, so that a name is what it looks like.
    """
    text = unicodedata.normalize("NFC", text[:2000])
    text = "".join(" " if c.isspace() else c for c in text if unicodedata.category(c)[0] != "C" or c.isspace())
    text = " ".join(_BAD.sub(" ", text).split()).strip(" .-~")
    while len(text.encode()) > MOST:
        text = text[:-1]
    text = text.strip(" .-~")
    if not text:
        return fallback
    return f"{text}_" if _RESERVED.fullmatch(text) else text
