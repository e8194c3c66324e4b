"""Who plays: this module says what ``serve`` is told of the one who asks.

``web/access`` decides it and puts it into the ASGI scope as ``state["viewer"]``.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Viewer:
    """``is_lan`` is true where no byte crosses the uplink; ``name`` tells viewers apart (address or token)."""

    is_lan: bool = True
    name: str = ""
