"""``seedkeep check lan``: why a screen does not find or play from the box. This module asks the running service, or,
where there is none, says what this machine alone can tell; and lays it out in lines.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from appliance.client import NotRunning, Service
from appliance.lan import doctor
from appliance.lan.doctor import Known
from appliance.lan.interfaces import household
from appliance.options import interface_choice, program_version
from appliance.printout import plain, table
from appliance.settings import Settings
from web.views import doctor as views
from web.views import words

_MARKS = {"ok": "ok  ", "hint": "hint", "trouble": "FAIL"}


def examined(service: Service, settings: Settings) -> Mapping[str, Any]:
    """Return the service's ``/lan``, or one like it of what can be found without it. Raises SeedkeepError."""
    try:
        answer: Mapping[str, Any] = service.ask("GET", "/api/v1/lan")
    except NotRunning as error:
        alone = {"code": error.code, "severity": "trouble", "interface": "", "command": ""}
        findings = [{**alone, "text": error.message, "cure": error.hint}, *_alone(settings)]
        return {"address": None, "name": None, "findings": findings, "screens": []}
    return answer


def in_the_way(answer: Mapping[str, Any]) -> bool:
    """Tell whether a finding is a trouble."""
    return any(finding["severity"] == "trouble" for finding in answer["findings"])


def printed(answer: Mapping[str, Any], now: datetime) -> str:
    """Return the findings, each with its cure below, and the screens that were seen."""
    lines: list[str] = []
    for finding in answer["findings"]:
        where = f"{finding['interface']}: " if finding["interface"] else ""
        lines.append(f"{_MARKS[finding['severity']]} {where}{plain(finding['text'])}")
        lines += [f"     {plain(text)}" for text in (finding["cure"], finding["command"]) if text]
    if answer["address"]:
        port = answer["address"].rpartition(":")[2]
        named = f" or http://{answer['name']}:{port}" if answer["name"] else ""
        lines += ["", f"The dashboard is at {answer['address']}{named}."]
        lines += ["", _screens(answer["screens"], now)]
    return "\n".join(lines)


def _screens(screens: list[Mapping[str, Any]], now: datetime) -> str:
    if not screens:
        return (
            "No screen has asked yet. Turn on the television and open its media sources: "
            "it shows up here by itself within seconds."
        )
    rows = [
        (
            s["address"],
            s["guess"] or "?",
            s["farthest"],
            words.ago(datetime.fromisoformat(s["last"]), now),
            next(iter(s["agents"]), ""),
        )
        for s in screens
    ]
    return table(("SCREEN", "PERHAPS", "CAME TO", "LAST", "CALLS ITSELF"), rows)


def _alone(settings: Settings) -> list[Mapping[str, Any]]:
    known = Known(
        home=household(interface_choice(settings)),
        listens=settings.web.host,
        port=settings.web.port,
        dlna=settings.lan.dlna,
        play=settings.web.play_without_login,
        mdns=settings.lan.mdns,
        name=settings.lan.name,
    )
    told = views.told(doctor.examine(known, f"Linux UPnP/1.1 Seedkeep/{program_version()}"))
    return [
        {
            "code": t.code,
            "severity": t.severity,
            "interface": t.where,
            "text": t.text,
            "cure": t.cure,
            "command": t.command,
        }
        for t in told
    ]
