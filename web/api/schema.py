"""``/openapi.json``: what the API takes and gives, for programs that write clients."""

import asyncio

from litestar import Litestar, Response, get
from litestar.serialization import encode_json

from web.context import AnyRequest


def _build(app: Litestar) -> bytes:
    """Return the description; it takes some tenths of a second."""
    return encode_json(app.openapi_schema.to_schema())


@get("/openapi.json", include_in_schema=False)
async def openapi(request: AnyRequest) -> Response[bytes]:
    """Return the API's description (OpenAPI 3.1)."""
    state = request.app.state
    if state.get("openapi") is None:
        state["openapi"] = await asyncio.to_thread(_build, request.app)
    return Response(state["openapi"], media_type="application/vnd.oai.openapi+json")


routes = [openapi]
