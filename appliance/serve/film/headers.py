"""What DLNA players want to be told beside a film's bytes: this module writes these headers. Pure.

They are harmless to others. The sources are DLNA guideline 7.5.4 and what players were found to need: a Samsung or LG
greys seeking and pausing out without the flags, an LG wants ``realTimeInfo`` too, and a Samsung that a phone pushed
a film to finds its subtitles only through ``CaptionInfo.sec``.
"""

from collections.abc import Sequence
from urllib.parse import quote

from appliance.domain.shelf import PlayableCaption
from appliance.domain.units import VideoId
from appliance.serve.exchange import Exchange
from appliance.serve.ranges import Headers

CONTENT_FEATURES = "DLNA.ORG_OP=01;DLNA.ORG_CI=0;DLNA.ORG_FLAGS=01700000000000000000000000000000"
"""The fourth field of a film's ``protocolInfo``: seekable by bytes, not converted, streaming, may be stalled."""


CONVERTED_FEATURES = CONTENT_FEATURES.replace("DLNA.ORG_CI=0", "DLNA.ORG_CI=1")
"""The same of what was converted."""


def asks_for_captions(exchange: Exchange) -> bool:
    """Tell whether the player wants to be told where subtitles are."""
    return exchange.headers.get(b"getcaptioninfo.sec") == b"1"


def film_headers(
    exchange: Exchange, video: VideoId, captions: Sequence[PlayableCaption] = (), *, converted: bool = False
) -> Headers:
    """Return the headers of a video's film. Of ``captions`` the first one's address (SRT) is told to those who ask, by
    the way that they came: with the token that is in their own address."""
    slowly = exchange.headers.get(b"transfermode.dlna.org", b"").strip().lower() == b"background"  # as the flags allow
    out = [
        (b"transferMode.dlna.org", b"Background" if slowly else b"Streaming"),
        (b"contentFeatures.dlna.org", (CONVERTED_FEATURES if converted else CONTENT_FEATURES).encode()),
        (b"realTimeInfo.dlna.org", b"DLNA.ORG_TLAG=*"),
    ]
    base = exchange.base(f"/media/{video}/") if captions and asks_for_captions(exchange) else None
    if base is not None:
        address = f"{base}captions/{quote(captions[0].language, safe='')}.srt"
        out.append((b"CaptionInfo.sec", address.encode("ascii", "ignore")))
    return out
