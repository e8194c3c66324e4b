"""What a change of rules would do, shown before it is saved: a rule made, changed, paused, deleted, a preset taken.

Every preview is a page with a form that does it, and a way back; all of it works without JavaScript.
"""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from litestar import Response, get, post
from litestar.params import PathParameter

from appliance.domain.plan import Rule
from appliance.domain.units import ChannelId, RuleId
from appliance.errors import SeedkeepError
from appliance.store import rules as store
from policies.presets import Preset, presets
from web import outlook
from web.pages.rules import (
    GONE,
    adopted,
    again,
    draft_of,
    form_page,
    named,
    no_plan,
    shown,
    understood,
)
from web.pages.show import Asked, fields, go, missing, services, show

Ident = Annotated[str, PathParameter(max_length=64)]
LINES = 50
_ANEW = RuleId("-")
"""The id of a rule that is not saved yet."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What a preview's button does: ``hidden`` fields go with it, ``edit`` is where they go back to the form."""

    title: str
    lead: str
    button: str
    action: str
    hidden: Sequence[tuple[str, str]] = ()
    edit: str = ""
    back: str = "rules"
    grave: bool = False
    channels: Sequence[tuple[str, str, bool]] = ()
    tune: str = ""


@post("/rules/preview", include_in_schema=False, status_code=200)
async def preview(request: Asked) -> Response[str]:
    """Show what the rule in the form would do, or the form again with what is wrong."""
    house, draft = services(request), await draft_of(request)
    ident = draft.text("id")[:64]
    every = await house.store.read(store.every)
    known = any(rule.id == ident for rule in every)
    rule, wrong = await understood(house, RuleId(ident if known else _ANEW), draft)
    if rule is None:
        return await form_page(request, await again(house, ident if known else "", draft, wrong), 422)
    after = tuple(rule if one.id == ident else one for one in every) if known else (*every, rule)
    skipped = {"csrf", "channels"}
    sent = [(name, value) for name, value in draft.sent.items() if name not in skipped]
    deed = Deed(
        title=rule.name,
        lead="Nothing is saved yet. With this rule:",
        button="Save the rule",
        action=f"rules/{ident}" if known else "rules",
        hidden=[*sent, *(("channels", channel) for channel in draft.picked)],
        edit="rules/edit",
    )
    return await _page(request, after, deed)


@post("/rules/edit", include_in_schema=False, status_code=200)
async def edit(request: Asked) -> Response[str]:
    """Show the form as it was before its preview."""
    house, draft = services(request), await draft_of(request)
    return await form_page(request, await again(house, draft.text("id")[:64], draft, {}))


@get("/rules/{ident:str}/delete", include_in_schema=False)
async def before_delete(request: Asked, ident: Ident) -> Response[str]:
    every = await services(request).store.read(store.every)
    rule = next((one for one in every if one.id == ident), None)
    if rule is None:
        return await missing(request, *GONE)
    deed = Deed(
        title=f"Delete {rule.name}?",
        lead="Nothing is deleted yet. Without this rule:",
        button="Yes, delete the rule",
        action=f"rules/{rule.id}/delete",
        back=f"rules/{rule.id}",
        grave=True,
    )
    return await _page(request, tuple(one for one in every if one.id != ident), deed)


@post("/rules/{ident:str}/delete", include_in_schema=False)
async def delete(request: Asked, ident: Ident) -> Response[str]:
    house = services(request)
    if not await house.store.promise(store.drop, RuleId(ident)):
        return await missing(request, *GONE)
    house.planning.wake()
    return go(request, "rules", "rule-gone")


@get("/rules/{ident:str}/pause", include_in_schema=False)
async def before_pause(request: Asked, ident: Ident) -> Response[str]:
    every = await services(request).store.read(store.every)
    rule = next((one for one in every if one.id == ident), None)
    if rule is None:
        return await missing(request, *GONE)
    verb = "Resume" if rule.paused else "Pause"
    deed = Deed(
        title=f"{verb} {rule.name}?",
        lead=f"Nothing is changed yet. {'With this rule again' if rule.paused else 'While this rule rests'}:",
        button=f"{verb} the rule",
        action=f"rules/{rule.id}/pause",
        hidden=[("paused", "no" if rule.paused else "yes")],
        back=f"rules/{rule.id}",
    )
    return await _page(request, tuple(_turned(one) if one is rule else one for one in every), deed)


@post("/rules/{ident:str}/pause", include_in_schema=False)
async def pause(request: Asked, ident: Ident) -> Response[str]:
    house, sent = services(request), await fields(request)
    rule = await house.store.read(store.one, RuleId(ident))
    if rule is None:
        return await missing(request, *GONE)
    await house.store.promise(store.put, replace(rule, paused=sent.get("paused") == "yes"))
    house.planning.wake()
    return go(request, "rules", "rule-paused" if sent.get("paused") == "yes" else "rule")


@get("/rules/preset/{name:str}", include_in_schema=False)
async def before_preset(request: Asked, name: Ident) -> Response[str]:
    """Show what a preset would do, for all channels or for the one chosen (``channel=``)."""
    house = services(request)
    preset, titles = await _preset(name), await named(house)
    if preset is None:
        return await missing(request, "No such preset", "Those there are stand on the rules page.")
    asked = request.query_params.get("channel", "")
    chosen = next((ident for ident in titles if ident == asked), "")
    every = await house.store.read(store.every)
    picks = [("", "all channels", not chosen)]
    picks += [(ident, title, ident == chosen) for ident, title in sorted(titles.items(), key=lambda i: i[1].casefold())]
    deed = Deed(
        title=preset.name,
        lead=preset.description,
        button="Keep this rule" if len(preset.rules) == 1 else "Keep these rules",
        action=f"rules/preset/{preset.id}",
        hidden=[("channel", chosen)],
        channels=picks if titles else (),
        tune=f"rules/new?preset={preset.id}" + (f"&channel={chosen}" if chosen else ""),
    )
    new = tuple(adopted(rule, chosen, f"{_ANEW}{at}") for at, rule in enumerate(preset.rules))
    return await _page(request, (*every, *new), deed)


@post("/rules/preset/{name:str}", include_in_schema=False)
async def take_preset(request: Asked, name: Ident) -> Response[str]:
    house, sent = services(request), await fields(request)
    preset, titles = await _preset(name), await named(house)
    if preset is None:
        return await missing(request, "No such preset", "Those there are stand on the rules page.")
    channel = next((ident for ident in titles if ident == sent.get("channel", "")), "")
    for rule in preset.rules:
        made = adopted(rule, channel, secrets.token_hex(6))
        title = f"{made.name}: {titles[ChannelId(channel)]}"[:100] if channel else made.name
        await house.store.promise(store.put, replace(made, name=title))
    house.planning.wake()
    return go(request, "rules", "rule")


def _turned(rule: Rule) -> Rule:
    return replace(rule, paused=not rule.paused)


async def _preset(name: str) -> Preset | None:
    return next((one for one in await asyncio.to_thread(presets) if one.id == name), None)


async def _page(request: Asked, after: tuple[Rule, ...], deed: Deed) -> Response[str]:
    house = services(request)
    try:
        found = await outlook.foreseen(house, after)
    except SeedkeepError as error:
        return await no_plan(request, error)
    view = {"p": await shown(house, found, LINES), "deed": deed}
    return await show(request, "rule_preview", view, here="rules")


routes = [
    preview,
    edit,
    before_delete,
    delete,
    before_pause,
    pause,
    before_preset,
    take_preset,
]
