"""Where things lie in the library: this module turns origins, ids and addresses into names that are safe on disk.

``<root>/<origin host, ':' as '_'>/<video id>/<base name of the origin's address>``. Nothing a stranger wrote becomes
a path without passing here; a torrent's own ``name`` never does.
"""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from appliance.domain.units import Origin, VideoId
from appliance.errors import BadAnswer

MARKER = ".seedkeep"
MANIFEST = "video.json"
TEMPORARY = ".seedkeep-new-"
"""What every unfinished side file's name starts with. Base names of strangers never start with a dot."""

MAX_NAME = 200
"""Bytes of a base name. File systems end at 255; ours leaves room for the prefix of a temporary name."""

_ORIGIN = re.compile(r"[a-z0-9\[][a-z0-9.:\[\]-]{0,199}")
_VIDEO = re.compile(r"[a-z2-7]{16}")


def origin_folder(origin: Origin) -> str:
    """Return the folder name of an origin. Raises BadAnswer for what cannot be a host."""
    if not _ORIGIN.fullmatch(origin) or ".." in origin:
        raise BadAnswer("The name of the origin cannot be used as a folder.")
    return origin.replace(":", "_")


def video_folder(root: Path, origin: Origin, video: VideoId) -> Path:
    """Return the folder of one video."""
    if not is_video_id(video):
        raise BadAnswer("This is not the id of a video.")
    return root / origin_folder(origin) / video


def is_video_id(text: str) -> bool:
    return _VIDEO.fullmatch(text) is not None


def safe_name(name: str) -> str:
    """Return ``name`` if it can stand in a video's folder, else raise BadAnswer.

    Refused: empty, a leading dot, separators, control and invisible formatting characters, over-long, our own names.
    """
    if not name or name.startswith(".") or name.endswith((" ", ".")):
        raise BadAnswer("A file name in the answer is empty or hidden.")
    if any(c in "/\\\x7f" or not c.isprintable() for c in name):
        raise BadAnswer("A file name in the answer has characters that a file name must not have.")
    try:
        long = len(name.encode()) > MAX_NAME
    except UnicodeEncodeError as error:
        raise BadAnswer("A file name in the answer is not valid text.") from error
    if long:
        raise BadAnswer("A file name in the answer is too long.")
    if name.casefold() == MANIFEST:
        raise BadAnswer("A file in the answer has a name that is reserved.")
    return name


def base_name(url: str) -> str:
    """Return the safe last path segment of an address, percent-decoded once. Raises BadAnswer."""
    try:
        path = urlsplit(url).path
        name = unquote(path.rpartition("/")[2], errors="strict")
    except ValueError as error:
        raise BadAnswer("An address in the answer cannot be read.") from error
    return safe_name(name)
