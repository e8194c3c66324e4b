"""Rules: those in force, each as a form, and what the plan in force comes to."""

import asyncio
import secrets
from collections.abc import Mapping
from typing import Annotated

from litestar import Response, get, post
from litestar.params import PathParameter

from appliance.domain.plan import Rule
from appliance.domain.units import ChannelId, RuleId
from appliance.errors import BadInput, SeedkeepError
from appliance.store import channels, lists
from appliance.store import rules as store
from policies.explain import sentence
from policies.presets import presets
from web import outlook
from web.pages.show import Asked, go, missing, services, show
from web.services import Services
from web.views import outlook as outlooks
from web.views import rule_form, rules

Ident = Annotated[str, PathParameter(max_length=64)]
GONE = ("No such rule", "It may have been deleted. The rules in force are on the rules page.")
SHOWN = 20


@get("/rules", include_in_schema=False)
async def all_rules(request: Asked) -> Response[str]:
    house = services(request)
    titles, plan = await asyncio.gather(named(house), outlook.present(house))
    cards = [rules.rule_card(rule, plan.uses.get(rule.id), titles) for rule in plan.rules]
    coming = None
    if plan.decisions and plan.disk is not None:
        coming = await shown(house, plan, SHOWN)
    offered = await asyncio.to_thread(presets)
    view = {"rules": cards, "plan": coming, "presets": offered[1:]}
    return await show(request, "rules", view, here="rules")


@get("/rules/new", include_in_schema=False)
async def new_rule(request: Asked) -> Response[str]:
    """Show an empty form, or that of a preset's first rule (``preset=``, for one ``channel=``)."""
    house = services(request)
    titles, kinds = await named(house), await house.planning.kinds()
    asked = request.query_params
    preset = next((p for p in await asyncio.to_thread(presets) if p.id == asked.get("preset", "")), None)
    if preset is None:
        return await form_page(request, rule_form.blank(titles, kinds))
    rule = adopted(preset.rules[0], asked.get("channel", ""), "")
    return await form_page(request, rule_form.of_rule(rule, titles, kinds))


@get("/rules/{ident:str}", include_in_schema=False)
async def one_rule(request: Asked, ident: Ident) -> Response[str]:
    house = services(request)
    rule = await house.store.read(store.one, RuleId(ident))
    if rule is None:
        return await missing(request, *GONE)
    return await form_page(request, rule_form.of_rule(rule, await named(house), await house.planning.kinds()))


@post("/rules", include_in_schema=False)
async def add(request: Asked) -> Response[str]:
    return await _save(request, RuleId(secrets.token_hex(6)), new=True)


@post("/rules/run", include_in_schema=False)
async def run(request: Asked) -> Response[str]:
    try:
        await services(request).planning.run()
    except SeedkeepError as error:
        return await no_plan(request, error)
    return go(request, "rules", "planned")


@post("/rules/{ident:str}", include_in_schema=False)
async def change(request: Asked, ident: Ident) -> Response[str]:
    known = await services(request).store.read(store.one, RuleId(ident)) is not None
    return await _save(request, RuleId(ident), new=False) if known else await missing(request, *GONE)


async def _save(request: Asked, ident: RuleId, *, new: bool) -> Response[str]:
    house, draft = services(request), await draft_of(request)
    rule, wrong = await understood(house, ident, draft)
    if rule is None:
        return await form_page(request, await again(house, "" if new else ident, draft, wrong), 422)
    await house.store.promise(store.put, rule)
    house.planning.wake()
    return go(request, "rules", "rule")


async def again(house: Services, ident: str, draft: rule_form.Draft, wrong: Mapping[str, str]) -> rule_form.RuleForm:
    """Return the form as it was sent, with what is wrong."""
    return rule_form.again(ident, draft, await named(house), wrong, await house.planning.kinds())


async def draft_of(request: Asked) -> rule_form.Draft:
    """Return the form as it was sent."""
    items = [(name, value) for name, value in (await request.form()).multi_items() if isinstance(value, str)]
    return rule_form.Draft(dict(items), tuple(dict.fromkeys(value for name, value in items if name == "channels")))


async def understood(house: Services, ident: RuleId, draft: rule_form.Draft) -> tuple[Rule | None, Mapping[str, str]]:
    """Return the rule that a form says, or None and by field what is wrong."""
    before = await house.store.read(store.one, ident) if ident else None
    wrong: dict[str, str] = {}
    rule = rule_form.read(ident, draft, wrong, before)
    if rule is not None:
        try:
            rule_form.checked(rule, before, await house.planning.kinds())
        except BadInput as error:
            wrong[error.field] = f"{error.message} {error.hint}".strip()
    return (None if wrong else rule), wrong


async def form_page(request: Asked, form: rule_form.RuleForm, status: int = 200) -> Response[str]:
    """Answer with the form of a rule."""
    error = "Some fields need another look." if form.wrong else ""
    return await show(request, "rule", {"form": form, "error": error}, here="rules", status=status)


async def no_plan(request: Asked, error: SeedkeepError) -> Response[str]:
    """Answer that there can be no plan now, and why."""
    view = {"status": 503, "title": "No plan now", "text": error.message, "hint": error.hint}
    return await show(request, "error", view, here="rules", status=503)


async def named(house: Services) -> Mapping[ChannelId, str]:
    """Return the titles of all channels."""
    every = await house.store.read(channels.every)
    return {channel.id: channel.info.title or channel.info.address.name for channel in every}


async def shown(house: Services, found: outlook.Outlook, limit: int) -> outlooks.Preview:
    """Return what a plan comes to, with so many lines of what comes and of what goes."""
    lines = await house.store.read(lists.lines, outlooks.shown(found, limit))
    return outlooks.preview(found, {line.id: line for line in lines}, sentence, limit)


def adopted(rule: Rule, channel: str, ident: str) -> Rule:
    """Return a preset's rule for one channel (empty: for all), under an id of this household."""
    only = frozenset({ChannelId(channel)}) if channel else None
    values = {name: getattr(rule, name) for name in Rule.__slots__}
    return Rule(**{**values, "id": RuleId(ident), "channels": only})


routes = [all_rules, new_rule, one_rule, add, run, change]
