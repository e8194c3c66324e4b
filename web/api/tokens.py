"""``/tokens``: keys for programs. Only the owner makes and sees them, and a secret is shown once."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import delete, get, post
from litestar.params import JSONBody
from msgspec import Meta

from appliance.store import logins
from appliance.store.logins import Token
from web.access.decide import Scope
from web.api.listing import Ident, Limit, Listing, Offset, cut
from web.context import AnyRequest, gate, house
from web.problems import not_found


class TokenBody(msgspec.Struct, frozen=True):
    id: str
    name: str
    scope: str
    created_at: datetime
    last_used: datetime | None


class MadeToken(msgspec.Struct, frozen=True):
    """A token just made: ``token`` is shown this once."""

    id: str
    name: str
    scope: str
    token: str


class NewToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``play``: media only; ``read``: everything that changes nothing; ``pin``: hand pins too; ``admin``: all."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    scope: Scope


def _body(token: Token) -> TokenBody:
    return TokenBody(token.id, token.name, token.scope, token.created_at, token.last_used)


@get("/tokens")
async def list_tokens(request: AnyRequest, limit: Limit = 100, offset: Offset = 0) -> Listing[TokenBody]:
    """List the tokens, without their secrets."""
    return cut([_body(token) for token in await house(request).store.read(logins.tokens)], limit, offset)


@post("/tokens")
async def make_token(request: AnyRequest, data: JSONBody[NewToken]) -> MadeToken:
    """Make a token. Its secret is in this answer and nowhere else."""
    token, secret = await gate(request).make_token(data.name, data.scope)
    return MadeToken(token.id, token.name, token.scope, secret)


@delete("/tokens/{ident:str}")
async def drop_token(request: AnyRequest, ident: Ident) -> None:
    """Remove a token: it works no longer."""
    if not await house(request).store.promise(logins.drop_token, ident):
        raise not_found("token")


routes = [list_tokens, make_token, drop_token]
