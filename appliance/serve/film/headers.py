"""What DLNA players want to be told beside a film's bytes: this module writes these headers. Pure.

They are harmless to others. The sources are DLNA guideline 7.5.4 and what players were found to need: a Samsung or LG
greys seeking and pausing out without the flags, an LG wants ``realTimeInfo`` too, and a Samsung that a phone pushed
a film to finds its subtitles only through ``CaptionInfo.sec``.
"""

from appliance.serve.exchange import Exchange
from appliance.serve.ranges import Headers

CONTENT_FEATURES = "DLNA.ORG_OP=01;DLNA.ORG_CI=0;DLNA.ORG_FLAGS=01700000000000000000000000000000"
"""The fourth field of a film's ``protocolInfo``: seekable by bytes, not converted, streaming, may be stalled."""


CONVERTED_FEATURES = CONTENT_FEATURES.replace("DLNA.ORG_CI=0", "DLNA.ORG_CI=1")
"""The same of what was converted."""


def film_headers(exchange: Exchange, caption: str | None = None, *, converted: bool = False) -> Headers:
    """Return the headers; ``caption`` is the absolute address of subtitles (SRT), told to those who ask."""
    out = [
        (b"transferMode.dlna.org", b"Streaming"),
        (b"contentFeatures.dlna.org", (CONVERTED_FEATURES if converted else CONTENT_FEATURES).encode()),
        (b"realTimeInfo.dlna.org", b"DLNA.ORG_TLAG=*"),
    ]
    if caption is not None and exchange.headers.get(b"getcaptioninfo.sec") == b"1":
        out.append((b"CaptionInfo.sec", caption.encode("ascii", "ignore")))
    return out
