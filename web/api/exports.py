"""``/exports``: channels as folders that play without Seedkeep."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.params import JSONBody
from msgspec import Meta

from appliance.domain.export import Export
from appliance.domain.units import ChannelId
from appliance.errors import BadInput
from web.api.listing import Limit, Listing, Offset, cut
from web.api.shapes import TroubleBody, trouble
from web.context import AnyRequest, house
from web.problems import not_found


class ExportBody(msgspec.Struct, frozen=True):
    """One export. ``state`` is queued, running, done or failed; ``done`` counts ``videos``.

    Bytes: ``linked`` share the disk's blocks with the library, ``copied`` take room of their own, ``present`` were
    there already. ``left`` names what could not be exported.
    """

    folder: str
    path: str
    channel: str
    title: str
    state: str
    begun_at: datetime
    videos: int
    done: int
    linked: int
    copied: int
    present: int
    left: list[str]
    trouble: TroubleBody | None


class NewExport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A channel, and a folder's name below ``library.export_dir`` (empty: the channel's title)."""

    channel: Annotated[str, Meta(min_length=1, max_length=64)]
    folder: Annotated[str, Meta(max_length=200)] = ""


def body(one: Export) -> ExportBody:
    return ExportBody(
        folder=one.folder,
        path=one.path,
        channel=one.channel,
        title=one.title,
        state=one.state.value,
        begun_at=one.begun_at,
        videos=one.videos,
        done=one.done,
        linked=one.linked,
        copied=one.copied,
        present=one.present,
        left=list(one.left),
        trouble=trouble(one.trouble),
    )


@get("/exports")
async def list_exports(request: AnyRequest, limit: Limit = 100, offset: Offset = 0) -> Listing[ExportBody]:
    """List the exports since the start, the latest first."""
    return cut([body(one) for one in house(request).exporting.exports()], limit, offset)


@post("/exports")
async def export(request: AnyRequest, data: JSONBody[NewExport]) -> Response[ExportBody]:
    """Queue a channel's export (202). Repeated, it adds what is new and copies nothing twice."""
    try:
        made = await house(request).exporting.begin(ChannelId(data.channel), data.folder)
    except BadInput as error:
        if error.code == "not_found":
            raise not_found("channel") from error
        raise
    return Response(body(made), status_code=202)


routes = [list_exports, export]
