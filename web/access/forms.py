"""A form's own token, read from its body before the handler reads the body again. This module does both."""

from typing import Any
from urllib.parse import parse_qs

from litestar.types import Receive

MOST_FORM = 256 * 1024
"""Bytes of a form that is read for its token."""


async def form_token(headers: dict[bytes, bytes], receive: Receive) -> tuple[str, Receive]:
    """Return a form's field ``csrf``, and a ``receive`` that tells the body again."""
    if not headers.get(b"content-type", b"").lower().startswith(b"application/x-www-form-urlencoded"):
        return "", receive
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return "", receive
        body += message.get("body", b"")
        if len(body) > MOST_FORM or not message.get("more_body", False):
            break
    if len(body) > MOST_FORM:
        return "", receive
    told = False

    async def again() -> Any:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=1000)
    except ValueError:
        return "", again
    return fields.get("csrf", [""])[0], again
