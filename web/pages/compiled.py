"""What templates compile to: this module keeps it in one file, from one start to the next.

It is code, so only a file of our own user is read, and only whole: a digest stands before it. Jinja keeps each
template's under a digest of its source, so that one that was edited is compiled anew.
"""

import hashlib
import logging
import marshal
import os
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket

log = logging.getLogger(__name__)

_MOST = 16 * 1024 * 1024
_DIGEST = 32


class CompiledTemplates(BytecodeCache):
    """See the module. A file that cannot be read or written costs nothing but time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept = _read(path)
        self._used: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if (kept := self._kept.get(bucket.key)) is not None:
            bucket.bytecode_from_string(kept)
            self._used[bucket.key] = kept

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._used[bucket.key] = bucket.bytecode_to_string()

    def save(self) -> None:
        """Write what was used, if it is not what the file has. Then it holds nothing any more."""
        used, kept = self._used, self._kept
        self._used, self._kept = {}, {}
        if used != kept:
            try:
                _write(self._path, marshal.dumps(used))
            except OSError as trouble:
                log.info("Compiled templates are not kept: %s", trouble.strerror)


def _read(path: Path) -> Mapping[str, bytes]:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            if found.st_uid != os.geteuid() or found.st_mode & 0o022:
                return {}
            content = file.read(_MOST)
    except OSError:
        return {}
    body = content[_DIGEST:]
    if content[:_DIGEST] != _digest(body):
        return {}
    kept: dict[str, bytes] = marshal.loads(body)
    return kept


def _write(path: Path, body: bytes) -> None:
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(_digest(body) + body)
    os.replace(unfinished, path)


def _digest(body: bytes) -> bytes:
    """Return what must stand before the body: it is another with another Python or Jinja."""
    said = f"{sys.version} {version('jinja2')} ".encode()
    return hashlib.sha256(said + body).digest()
