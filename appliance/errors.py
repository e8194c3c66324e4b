"""Every error Seedkeep raises on purpose, and nothing else. This module is the tree.

SeedkeepError                  code, hint, retryable
├── BadInput                   what a person or a program gave us is not usable; never retried
├── OriginError                what an origin answered, or did not
│   ├── NotFound               404, 410: the thing is not there (any more)
│   ├── Forbidden              401, 403: the thing is there and not for us
│   ├── Unreachable            no connection, time-out, DNS: retried with back-off
│   ├── Throttled              429, 503 with Retry-After: retried after `after` seconds
│   ├── ServerTrouble          other 5xx: retried with back-off
│   ├── Refused                we refuse to go there (private address, too many redirects)
│   └── BadAnswer              an answer that cannot be what it claims: too large, malformed, lying
├── SwarmError                 libtorrent would not take or do something
├── DiskError                  a file could not be read or written
│   ├── NoSpace                the floor or the quota is reached: waits, and goes on by itself
│   └── LibraryMissing         the library's marker is not there: disk not mounted
├── QuotaUsed                  the budget of transfer is used up: waits, and goes on by itself
└── StoreError                 the database cannot be used
    └── SchemaTooNew           it was written by a newer Seedkeep
"""

from datetime import datetime


class SeedkeepError(Exception):
    """``code`` is stable and for programs, the message one plain sentence, ``hint`` what a person can do."""

    code = "error"
    retryable = False

    def __init__(self, message: str, *, hint: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint
        if code is not None:
            self.code = code


class BadInput(SeedkeepError):
    """``field`` names the part of the input that is wrong, where there is one."""

    code = "bad_input"

    def __init__(self, message: str, *, hint: str = "", code: str | None = None, field: str = "") -> None:
        super().__init__(message, hint=hint, code=code)
        self.field = field


class OriginError(SeedkeepError):
    code = "origin_error"


class NotFound(OriginError):
    code = "not_found"


class Forbidden(OriginError):
    code = "forbidden"


class Unreachable(OriginError):
    code = "unreachable"
    retryable = True


class Throttled(OriginError):
    """``after`` is how long the origin asked us to wait, in seconds."""

    code = "throttled"
    retryable = True

    def __init__(self, message: str, *, after: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.after = after


class ServerTrouble(OriginError):
    code = "server_trouble"
    retryable = True


class Refused(OriginError):
    code = "refused"


class BadAnswer(OriginError):
    code = "bad_answer"


class SwarmError(SeedkeepError):
    code = "swarm_error"


class DiskError(SeedkeepError):
    code = "disk_error"
    retryable = True


class NoSpace(DiskError):
    code = "no_space"


class LibraryMissing(DiskError):
    code = "library_missing"


class QuotaUsed(SeedkeepError):
    """``until`` is when the budget begins anew."""

    code = "quota_used"
    retryable = True

    def __init__(self, message: str, *, until: datetime, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.until = until


class StoreError(SeedkeepError):
    code = "store_error"


class SchemaTooNew(StoreError):
    code = "schema_too_new"
