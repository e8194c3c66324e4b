"""What kind of picture some bytes are, by how they begin: this module knows those that screens show.

What a server says of them counts for nothing.
"""

_KINDS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


def kind_of(data: bytes) -> str | None:
    """Return the media type of a picture by how it begins; None for anything that a page should not show."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _KINDS if data.startswith(start)), None)
