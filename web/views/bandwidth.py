"""Bandwidth's settings as fields of a form, and what a person typed there. This module builds and reads them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from web.services import Option
from web.views import settings, words


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the form. ``unit`` stands behind it, ``now`` says the value in words; ``on`` where it is a switch,
    else None."""

    key: str
    name: str
    hint: str
    value: str
    unit: str
    now: str
    source: str
    locked: bool
    error: str
    on: bool | None = None


@dataclass(frozen=True, slots=True)
class Fields:
    key: str
    name: str
    hint: str
    fields: tuple[Field, ...]


_RATE, _SIZE, _PLAIN, _SWITCH = "MB/s", "GB", "", "switch"
GROUPS: Mapping[str, tuple[str, str, Mapping[str, tuple[str, str, str]]]] = {
    "full": (
        "Full",
        "",
        {key: (name, hint, _RATE) for key, (name, hint) in settings.LIMITS.items()},
    ),
    "polite": (
        "Polite",
        "While the household is at home.",
        {"polite_upload": ("Polite upload", "", _RATE), "polite_download": ("Polite download", "", _RATE)},
    ),
    "night": (
        "Night",
        "While nobody minds.",
        {"night_upload": ("Night upload", "", _RATE), "night_download": ("Night download", "", _RATE)},
    ),
    "budgets": (
        "Budgets",
        "What may cross the uplink in all. Once it is used up, seeding stops or pinning waits; screens here go on.",
        {
            "monthly_upload": ("Each month, given", "", _SIZE),
            "monthly_download": ("Each month, taken", "", _SIZE),
            "daily_upload": ("Each day, given", "", _SIZE),
            "daily_download": ("Each day, taken", "", _SIZE),
        },
    ),
    "household": (
        "Household first",
        "What is sent stands back for those at home.",
        {
            "yield_to_household": (
                "Hold back while packets wait in the router",
                "Calls and games stay quick; what is free is used again within a minute.",
                _SWITCH,
            ),
            "yield_to_players": (
                "Hold back while a screen in the house plays",
                "Then half as much is sent to the internet.",
                _SWITCH,
            ),
            "probe_host": (
                "Measured towards",
                "A name or address in the internet. Empty: a server that is followed.",
                _PLAIN,
            ),
        },
    ),
    "calendar": (
        "Calendar",
        "",
        {
            "billing_day": ("Billing day", "The month's budgets begin anew on it; 31 is always the last day.", _PLAIN),
            "timezone": ("Time zone", "Such as Europe/Paris. Empty means this machine's.", _PLAIN),
        },
    ),
}
"""The form's groups: each field's name, hint and unit."""


def fields(
    options: Iterable[Option], errors: Mapping[str, str] | None = None, typed: Mapping[str, str] | None = None
) -> tuple[Fields, ...]:
    """Return the form's groups; ``typed`` is what a person just sent and had refused, shown again."""
    by_path = {option.path: option for option in options}
    return tuple(
        Fields(
            group,
            name,
            hint,
            tuple(
                _field(by_path[f"bandwidth.{key}"], key, spec, (errors or {}).get(key, ""), typed or {})
                for key, spec in specs.items()
            ),
        )
        for group, (name, hint, specs) in GROUPS.items()
    )


def _field(option: Option, key: str, spec: tuple[str, str, str], error: str, typed: Mapping[str, str]) -> Field:
    name, hint, unit = spec
    value, now = _shown(option.value, unit), ""
    if unit == _RATE:
        now = words.limit(option.value)
    elif unit == _SIZE:
        now = "none" if option.value is None else words.size(option.value)
    return Field(
        key=key,
        name=name,
        hint=hint,
        value=typed.get(key, value),
        unit=unit,
        now=now,
        source=settings.source(option),
        locked=option.locked_by is not None,
        error=error,
        on=_is_on(option, key, typed) if unit == _SWITCH else None,
    )


def _is_on(option: Option, key: str, typed: Mapping[str, str]) -> bool:
    return key in typed if f"has.{key}" in typed else option.value is True


def _shown(value: object, unit: str) -> str:
    if unit == _RATE and (value is None or isinstance(value, int)):
        return settings.megabytes(value)
    if unit == _SIZE and isinstance(value, int):
        return f"{value / 1e9:.3f}".rstrip("0").rstrip(".") or "0"
    if unit == _SWITCH:
        return "on" if value is True else ""
    return "" if value is None else str(value)


UNITS = {key: unit for _, _, specs in GROUPS.values() for key, (_, _, unit) in specs.items()}


def sent(field: Field, form: Mapping[str, str]) -> str | None:
    """Return what a form says of a field, None where it says nothing: of a switch that is off a browser sends only
    that the form has it."""
    if field.on is not None and f"has.{field.key}" in form:
        return form.get(field.key, "")
    return form.get(field.key)


def parse(key: str, text: str) -> int | str | None:
    """Return what a person typed as the setting takes it; raises ValueError with one sentence."""
    text = text.strip()
    if UNITS[key] == _SWITCH:
        return text == "on"
    if UNITS[key] == _RATE:
        return settings.bytes_per_second(text)
    if key == "billing_day":
        if not (text.isascii() and text.isdigit() and len(text) <= 2 and 1 <= int(text) <= 31):
            raise ValueError("Write a day from 1 to 31.")
        return int(text)
    if UNITS[key] != _SIZE:
        return text
    if not text:
        return None
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        raise ValueError("Write a number, or leave the field empty for no budget.") from None
    if not 0 <= value <= 1_000_000:
        raise ValueError("Write a number from 0 to 1,000,000.")
    return round(value * 1e9)
