"""What an answer's status means: this module turns it into an error of ours with a plain sentence and a remedy."""

from collections.abc import Mapping
from datetime import datetime

from appliance.errors import BadAnswer, Forbidden, NotFound, OriginError, ServerTrouble, Throttled, Unreachable
from appliance.outbound.manners import FIRST_REST, retry_after

_LATER = "Nothing to do: Seedkeep tries again by itself."


def error_for(host: str, status: int, headers: Mapping[str, str], now: datetime) -> OriginError | None:
    """Return the error that ``status`` stands for, None for a success.

    Sentences name the host and never repeat the body, which may hold the server's own paths.
    """
    if 200 <= status < 300:
        return None
    if status in (429, 503):
        after = retry_after(headers, now)
        if status == 429 or after is not None:
            after = FIRST_REST if after is None else after
            return Throttled(f"{host} asks us to slow down.", after=after, hint=_LATER)
    if status >= 500:
        return ServerTrouble(f"{host} has trouble of its own (error {status}).", hint=_LATER)
    if status in (404, 410):
        return NotFound(
            f"{host} does not have this{' any more' if status == 410 else ''}.",
            hint="Check the address; it may have been removed.",
        )
    if status in (401, 402, 403, 407, 451):
        return Forbidden(
            f"{host} does not let us see this.", hint="Its owner made it private, or the server asks for a login."
        )
    if status == 408:
        return Unreachable(f"{host} gave up waiting.", hint=_LATER)
    return BadAnswer(f"{host} answered in an unexpected way ({status}).", hint="Is this a PeerTube server?")


def too_large(host: str, limit: int) -> BadAnswer:
    """Return the error for an answer of more than ``limit`` bytes."""
    shown = f"{limit // (1 << 20)} MiB" if limit >= 1 << 20 else f"{limit // 1024} KiB"
    return BadAnswer(
        f"{host} sent more than the {shown} that such an answer may have.",
        hint="The server is broken or hostile; tell its owner, or stop following it.",
    )
