"""``/scrub``: everything that is held is hashed again, to find rot."""

import msgspec
from litestar import post

from web.context import AnyRequest, house


class Scrubbing(msgspec.Struct, frozen=True):
    """``queued`` videos will be hashed, one after the other; what is rotten is fetched again."""

    queued: int


@post("/scrub", status_code=202)
async def scrub(request: AnyRequest) -> Scrubbing:
    """Hash everything that is pinned again."""
    return Scrubbing(await house(request).keeping.scrub())


routes = [scrub]
