"""Rules, and the plan that comes of them."""

import asyncio
import secrets
from collections.abc import Mapping
from typing import Annotated

from litestar import Response, get, post
from litestar.params import PathParameter

from appliance.domain.plan import Plan, Rule
from appliance.domain.units import ChannelId, RuleId
from appliance.errors import BadInput, SeedkeepError
from appliance.store import channels, lists
from appliance.store import rules as store
from policies.explain import sentence
from web.pages.show import Asked, disk, go, missing, services, show
from web.services import Services
from web.views import rule_form, rules

Ident = Annotated[str, PathParameter(max_length=64)]
GONE = ("No such rule", "It may have been deleted. The rules in force are on the rules page.")


@get("/rules", include_in_schema=False)
async def all_rules(request: Asked) -> Response[str]:
    house = services(request)
    every, titles = await asyncio.gather(house.store.read(store.every), _titles(house))
    plan = await _plan(house, every)
    use = rules.uses(plan)
    cards = [rules.rule_card(rule, use.get(rule.id), titles) for rule in every]
    coming = await _preview(house, plan) if plan is not None and plan.decisions else None
    return await show(request, "rules", {"rules": cards, "plan": coming}, here="rules")


@get("/rules/new", include_in_schema=False)
async def new_rule(request: Asked) -> Response[str]:
    return await _form(request, rule_form.blank(await _titles(services(request))))


@get("/rules/{ident:str}", include_in_schema=False)
async def one_rule(request: Asked, ident: Ident) -> Response[str]:
    house = services(request)
    rule = await house.store.read(store.one, RuleId(ident))
    if rule is None:
        return await missing(request, *GONE)
    return await _form(request, rule_form.of_rule(rule, await _titles(house)))


@post("/rules", include_in_schema=False)
async def add(request: Asked) -> Response[str]:
    return await _save(request, RuleId(secrets.token_hex(6)), new=True)


@post("/rules/run", include_in_schema=False)
async def run(request: Asked) -> Response[str]:
    try:
        await services(request).planning.run()
    except SeedkeepError as error:
        view = {"status": 503, "title": "No plan now", "text": error.message, "hint": error.hint}
        return await show(request, "error", view, here="rules", status=503)
    return go(request, "rules", "planned")


@post("/rules/{ident:str}", include_in_schema=False)
async def change(request: Asked, ident: Ident) -> Response[str]:
    known = await services(request).store.read(store.one, RuleId(ident)) is not None
    return await _save(request, RuleId(ident), new=False) if known else await missing(request, *GONE)


@post("/rules/{ident:str}/delete", include_in_schema=False)
async def delete(request: Asked, ident: Ident) -> Response[str]:
    house = services(request)
    if not await house.store.promise(store.drop, RuleId(ident)):
        return await missing(request, *GONE)
    house.planning.wake()
    return go(request, "rules", "rule-gone")


async def _save(request: Asked, ident: RuleId, *, new: bool) -> Response[str]:
    house = services(request)
    form = await request.form()
    sent = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    picked = [value for name, value in form.multi_items() if name == "channels" and isinstance(value, str)]
    errors: dict[str, str] = {}
    rule = rule_form.read(ident, sent, picked, errors)
    if rule is not None:
        try:
            rule_form.check(rule)
        except BadInput as error:
            errors[rule_form.FIELD_OF.get(error.field, error.field)] = f"{error.message} {error.hint}".strip()
    if rule is None or errors:
        shown = rule_form.again("" if new else ident, sent, picked, await _titles(house), errors)
        return await _form(request, shown, status=422)
    await house.store.promise(store.put, rule)
    house.planning.wake()
    return go(request, "rules", "rule")


async def _form(request: Asked, form: rule_form.RuleForm, status: int = 200) -> Response[str]:
    error = "Some fields need another look." if form.wrong else ""
    return await show(request, "rule", {"form": form, "error": error}, here="rules", status=status)


async def _titles(house: Services) -> Mapping[ChannelId, str]:
    every = await house.store.read(channels.every)
    return {channel.id: channel.info.title or channel.info.address.name for channel in every}


async def _plan(house: Services, every: tuple[Rule, ...]) -> Plan | None:
    """Return what the rules come to now, or None where that cannot be said (the disk is not mounted)."""
    try:
        return await house.planning.preview(every)
    except SeedkeepError:
        return None


async def _preview(house: Services, plan: Plan) -> rules.Preview | None:
    space = await disk(house)
    if space is None:
        return None
    shown = tuple(decision.video for decision in (*rules.adds(plan), *rules.releases(plan)))
    lines = await house.store.read(lists.lines, shown)
    return rules.preview(plan, space, {line.id: line for line in lines}, sentence)


routes = [all_rules, new_rule, one_rule, add, run, change, delete]
