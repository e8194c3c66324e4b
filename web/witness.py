"""What a request tells of the screen that makes it: this module reads that from method and path, and is pure."""

from appliance.domain.screen import Act

_PICTURES = ("thumbnail.jpg", "storyboard.jpg")


def deed(method: str, path: str) -> Act | None:
    """Return what whoever asks for this does with us; None for what says nothing, such as a list's pictures."""
    if path.startswith("/media/"):
        takes = method == "GET" and not path.endswith(_PICTURES) and "/captions/" not in path
        return Act.FETCHED if takes else None
    if not path.startswith("/dlna/"):
        return None
    match method:
        case "SUBSCRIBE":
            return Act.SUBSCRIBED
        case "POST" if path.endswith("/ContentDirectory"):
            return Act.BROWSED
        case "GET" if path == "/dlna/description.xml":
            return Act.DESCRIBED
        case _:
            return None
