"""``/events``: server-sent events for as long as a browser listens."""

from litestar import get
from litestar.response import Stream

from web.context import AnyRequest
from web.events import Events


@get("/events", media_type="text/event-stream")
async def listen(request: AnyRequest) -> Stream:
    """Tell ``rates`` once a second, and ``changed`` with the kinds and ids that were touched."""
    source: Events = request.app.state["events"]
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return Stream(source.listen(), media_type="text/event-stream", headers=headers)


routes = [listen]
