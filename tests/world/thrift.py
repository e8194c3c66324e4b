"""What very many tests would make anew, made once: this module saves a run of all tests about a minute of processor.

An empty catalogue is migrated once and copied, trusted certificates are read once, and passwords are hashed at the
least cost that Argon2id knows. Programs that tests start do all of it as ever.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx._transports.default as transports
from httpx._config import create_ssl_context as _new_context
from nacl.pwhash import argon2id

from appliance.store.migrations import run

_migrate = run.upgrade
_COST = (argon2id.OPSLIMIT_INTERACTIVE, argon2id.MEMLIMIT_INTERACTIVE)


@contextmanager
def thrift(folder: Path) -> Iterator[None]:
    """Save for as long as this is open. ``folder`` keeps the empty catalogue."""
    empty = folder / "empty.db"

    def upgrade(path: Path) -> None:
        if path.exists():
            return _migrate(path)
        if not empty.exists():
            _migrate(empty.with_suffix(".new"))
            empty.with_suffix(".new").rename(empty)
        shutil.copyfile(empty, path)
        return None

    @cache
    def trusting(trust_env: bool) -> Any:
        return _new_context(trust_env=trust_env)

    def context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> Any:
        return trusting(trust_env) if verify is True and cert is None else _new_context(verify, cert, trust_env)

    with (
        patch.object(run, "upgrade", upgrade),
        patch.object(transports, "create_ssl_context", context),
        patch.object(argon2id, "OPSLIMIT_INTERACTIVE", argon2id.OPSLIMIT_MIN),
        patch.object(argon2id, "MEMLIMIT_INTERACTIVE", argon2id.MEMLIMIT_MIN),
    ):
        yield


@contextmanager
def passwords_at_their_cost() -> Iterator[None]:
    """Hash passwords as the appliance does."""
    with (
        patch.object(argon2id, "OPSLIMIT_INTERACTIVE", _COST[0]),
        patch.object(argon2id, "MEMLIMIT_INTERACTIVE", _COST[1]),
    ):
        yield
