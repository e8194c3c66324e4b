"""``/rules``: the owner's ways to choose what to keep, all of them in force."""

import asyncio
import re
import secrets
from collections.abc import Collection
from typing import Annotated

import msgspec
from litestar import Response, delete, get, patch, post, put
from litestar.params import JSONBody
from msgspec import UNSET, Meta

from appliance.domain.plan import Rule
from appliance.domain.units import ChannelId, RuleId
from appliance.errors import BadInput
from appliance.store import channels, rules
from policies import presets, rulebook
from web.api.listing import Ident, Limit, Listing, Offset, cut
from web.api.rule_bodies import NewRule, RuleBody, RuleChange, body, changed, rule_of
from web.context import AnyRequest, house
from web.problems import not_found
from web.services import Services

MOST_RULES = 100


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All rules, in place of the present ones: as bodies, or as the text of a file of rules (``file``)."""

    rules: Annotated[list[NewRule], Meta(max_length=MOST_RULES)] | None = None
    file: Annotated[str, Meta(max_length=rulebook.LARGEST)] | None = None


class PresetBody(msgspec.Struct, frozen=True):
    """Rules to begin with. Their ids are only the preset's."""

    id: str
    name: str
    description: str
    rules: list[RuleBody]


_IDENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_PLACES = frozenset({"new", "preview", "edit", "run", "preset", "presets", "file"})
"""Words that stand in addresses where a rule's id does."""


def _new_id(name: str) -> str:
    """Return an id for a new rule: readable, and not taken."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:24]
    return f"{words or 'rule'}-{secrets.token_hex(3)}"


async def all_of(services: Services, data: Rules) -> tuple[Rule, ...]:
    """Return the rules that a body describes, each checked. Raises BadInput with the field named."""
    if (data.rules is None) == (data.file is None):
        raise BadInput("Give either rules or file.", field="rules" if data.file is None else "file")
    kinds = await services.planning.kinds()
    if data.file is not None:
        made = rulebook.read(data.file, kinds)
    else:
        made = tuple(_numbered(one, at, kinds) for at, one in enumerate(data.rules or ()))
    if len(made) > MOST_RULES:
        raise BadInput(f"There can be at most {MOST_RULES} rules.", field="rules")
    if odd := next((rule.id for rule in made if rule.id in _PLACES or not _IDENT.fullmatch(rule.id)), None):
        hint = "Use letters, digits, hyphens, dots and underscores."
        raise BadInput(f"“{odd[:80]}” cannot be the id of a rule.", field="id", code="bad_rule", hint=hint)
    if len({rule.id for rule in made}) < len(made):
        raise BadInput("Two rules have the same id.", field="rules", code="bad_rule")
    await _check_channels(services, made)
    return made


def _numbered(data: NewRule, at: int, kinds: Collection[str]) -> Rule:
    try:
        return rule_of(data, data.id or _new_id(data.name), kinds)
    except BadInput as error:
        raise BadInput(error.message, hint=error.hint, code=error.code, field=f"rules[{at}].{error.field}") from error


async def _check_channels(services: Services, made: tuple[Rule, ...]) -> None:
    """Raise BadInput where a rule names a channel that is not followed."""
    named = frozenset[ChannelId]().union(*(rule.channels or frozenset() for rule in made))
    if not named:
        return
    unknown = sorted(named - {c.id for c in await services.store.read(channels.every)})
    if unknown:
        raise BadInput(f"There is no channel {unknown[0][:80]}.", field="channels", hint="Take ids from /channels.")


@get("/rules")
async def list_rules(request: AnyRequest, limit: Limit = 100, offset: Offset = 0) -> Listing[RuleBody]:
    """List the rules in the owner's order."""
    return cut([body(rule) for rule in await house(request).store.read(rules.every)], limit, offset)


@post("/rules")
async def add_rule(request: AnyRequest, data: JSONBody[NewRule]) -> RuleBody:
    """Add a rule at the end. It is in force at once."""
    services = house(request)
    made = rule_of(data, _new_id(data.name), await services.planning.kinds())
    await _check_channels(services, (made,))
    if len(await services.store.read(rules.every)) >= MOST_RULES:
        raise BadInput(f"There are {MOST_RULES} rules already.", hint="Delete one that is no longer needed.")
    await services.store.promise(rules.put, made)
    services.planning.wake()
    return body(made)


@put("/rules")
async def set_rules(request: AnyRequest, data: JSONBody[Rules]) -> Listing[RuleBody]:
    """Have exactly these rules, in this order, in place of the present ones. They are in force at once."""
    services = house(request)
    made = await all_of(services, data)
    await services.store.promise(rules.replace, made)
    services.planning.wake()
    return Listing(len(made), [body(rule) for rule in made])


@get("/rules/file", media_type="application/toml")
async def rules_file(request: AnyRequest) -> Response[str]:
    """Return all rules as a file that a person can read, keep, and give back by ``PUT /rules``."""
    text = rulebook.write(await house(request).store.read(rules.every))
    headers = {"content-disposition": 'attachment; filename="seedkeep-rules.toml"'}
    return Response(text, media_type="application/toml; charset=utf-8", headers=headers)


@get("/rules/presets")
async def list_presets() -> Listing[PresetBody]:
    """List the rules to begin with."""
    offered = await asyncio.to_thread(presets.presets)
    found = [PresetBody(p.id, p.name, p.description, [body(r) for r in p.rules]) for p in offered]
    return Listing(len(found), found)


@get("/rules/{ident:str}")
async def one_rule(request: AnyRequest, ident: Ident) -> RuleBody:
    """Return one rule."""
    found = await house(request).store.read(rules.one, RuleId(ident))
    if found is None:
        raise not_found("rule")
    return body(found)


@patch("/rules/{ident:str}")
async def change_rule(request: AnyRequest, ident: Ident, data: JSONBody[RuleChange]) -> RuleBody:
    """Change one rule where it stands."""
    services = house(request)
    found = await services.store.read(rules.one, RuleId(ident))
    if found is None:
        raise not_found("rule")
    made = changed(found, data, await services.planning.kinds())
    if data.channels is not UNSET:
        await _check_channels(services, (made,))
    await services.store.promise(rules.put, made)
    services.planning.wake()
    return body(made)


@delete("/rules/{ident:str}")
async def drop_rule(request: AnyRequest, ident: Ident) -> None:
    """Delete one rule. What no other wants the next plan releases."""
    services = house(request)
    if not await services.store.promise(rules.drop, RuleId(ident)):
        raise not_found("rule")
    services.planning.wake()


routes = [list_rules, add_rule, set_rules, rules_file, list_presets, one_rule, change_rule, drop_rule]
