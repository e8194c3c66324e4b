"""Outbound: HTTP to the world, which is hostile territory."""

import sys

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
"""httpx brings its command line program where it can, and with it rich and pygments: 3 MB that nobody uses. A name that
is None cannot be imported, and httpx is prepared for that."""
