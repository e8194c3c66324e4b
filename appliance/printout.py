"""What the command line prints for a person: this module lays the API's answers out in lines and columns."""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from policies.explain import human_size

Item = Mapping[str, Any]

_STATES = {"pinned": "kept", "pinning": "arriving", "releasing": "going"}
_TO_COME = ("pinning", "queued", "waiting", "failed", "missing")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """Return aligned columns below their headings; those named in ``right`` end at the same place."""
    clean = [[plain(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(_width(row[at]) for row in clean) for at in range(len(headings))]
    lines = []
    for row in clean:
        cells = [_filled(row[at], widths[at], heading in right) for at, heading in enumerate(headings)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def plain(text: str) -> str:
    """Return ``text`` without what a terminal would obey: titles are written by others."""
    return "".join(letter for letter in text if letter.isprintable())


def many(count: int, thing: str) -> str:
    """Return ``1 video``, ``1,204 videos``."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def channels(answer: Item) -> str:
    """Lay out what is followed, each trouble below its channel."""
    rows = [
        (
            str(item["id"]),
            "paused" if item["paused"] else str(item["state"]),
            str(item["held"]),
            str(item["wanted"]),
            str(item["listed"]),
            human_size(item["held_bytes"]),
            _channel(item),
        )
        for item in answer["items"]
    ]
    if not rows:
        return "No channel is followed yet. `seedkeep follow ADDRESS` follows one."
    headings = ("ID", "STATE", "KEPT", "WANTED", "LISTED", "SIZE", "CHANNEL")
    lines = table(headings, rows, right=headings[2:6]).splitlines()
    troubled: list[str] = [lines[0]]
    for line, item in zip(lines[1:], answer["items"], strict=True):
        troubled += [line, *_trouble(item)]
    return "\n".join([*troubled, *more(answer)])


def videos(answer: Item, ident: str = "id") -> str:
    """Lay out videos or pins, each with its state."""
    rows = [(str(item[ident]), _state(item), human_size(_bytes(item)), str(item["title"])) for item in answer["items"]]
    if not rows:
        return "Nothing yet." if not answer.get("total") else "Nothing more."
    return "\n".join([table(("ID", "STATE", "SIZE", "TITLE"), rows, right=("SIZE",)), *more(answer)])


def pins(answer: Item) -> str:
    """Lay out what is kept and what is on its way."""
    return videos(answer, "video_id") if answer["items"] else "Nothing is kept yet."


def status(answer: Item, arriving: Sequence[Item], now: datetime) -> str:
    """Lay out what is held, what happens now and how the disk is; ``arriving`` are the videos being fetched."""
    held, pins, rates = answer["holdings"], answer["holdings"]["pins"], answer["rates"]
    lines = [f"Seedkeep {answer['version']}, running for {span(now, answer['started_at'])}"]
    lines += [f"  ! {plain(str(trouble))}" for trouble in answer["troubles"]]
    coming = [f"{pins[state]:,} {_STATES.get(state, state)}" for state in _TO_COME if pins.get(state)]
    kept = f"{many(pins.get('pinned', 0), 'video')}, {human_size(held['done'])}"
    facts = [
        ("Kept", f"{kept}; {many(held['videos'], 'video')} of {many(held['channels'], 'channel')} known"),
        ("To come", ", ".join(coming) or "nothing"),
        ("Disk", _disk(answer["disk"])),
        (
            "Giving",
            f"{rate(rates['up'])} to the internet, {rate(rates['lan_up'] + rates['players'])} on this network",
        ),
        ("Taking", f"{rate(rates['down'])} from the internet, {rate(rates['lan_down'])} on this network"),
        ("Uplink", plain(str(answer["in_force"]))),
        ("Peers", f"{rates['peers']:,}; {many(rates['viewers'], 'screen')} {_plays(rates['viewers'])} now"),
    ]
    lines += [f"{name:9}{text}" for name, text in facts]
    doing = {item["video"]: item for item in answer["activity"]}
    rows = [_arriving(item, doing.get(item["id"])) for item in arriving]
    if rows:
        lines += ["", table(("ARRIVING", "SIZE", "SPEED", "TITLE"), rows, right=("ARRIVING", "SIZE", "SPEED"))]
    asked = [
        (str(o["origin"]), str(o["requests"]), human_size(o["bytes_taken"]), _rest(o, now)) for o in answer["origins"]
    ]
    if asked:
        lines += ["", table(("ORIGIN", "ASKED TODAY", "TAKEN", ""), asked, right=("ASKED TODAY", "TAKEN"))]
    return "\n".join(lines)


# Inside


def _width(text: str) -> int:
    """Return the columns that ``text`` takes on a terminal: wide letters two, marks above others none."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) != 0 for letter in text)


def _filled(text: str, width: int, right: bool) -> str:
    space = " " * max(0, width - _width(text))
    return space + text if right else text + space


def _channel(item: Item) -> str:
    handle = f"{item['name']}@{item['origin']}" if item["kind"] != "instance" else str(item["origin"])
    return f"{item['title']} ({handle})" if item["title"] else handle


def _trouble(item: Item) -> list[str]:
    trouble = item.get("trouble")
    return [f"  ! {plain(trouble['message'])} {plain(trouble['hint'])}".rstrip()] if trouble else []


def _state(item: Item) -> str:
    state = item.get("state")
    if state == "pinning" and item["size"]:
        return f"arriving {int(100 * item['done'] / item['size'])} %"
    return _STATES.get(str(state), str(state)) if state else str(item.get("word") or "listed")


def _bytes(item: Item) -> int:
    decision = item.get("decision") or {}
    return int(item["size"] or decision.get("size") or 0)


def more(answer: Item) -> list[str]:
    """Say how much more there is than what is shown."""
    left = answer["total"] - len(answer["items"])
    return [f"… and {left:,} more; --limit shows more of them."] if left > 0 else []


def _disk(disk: Item | None) -> str:
    if disk is None:
        return "the media folder is not there; is its disk plugged in?"
    left = max(0, disk["free"] - disk["floor"])
    return f"{human_size(left)} free to use of {human_size(disk['total'])}; {human_size(disk['floor'])} is never used"


def rate(count: float) -> str:
    """Return a rate in bytes/s as the pages write it: ``3.2 MB/s``; nothing moving is ``0 kB/s``."""
    if count < 50:
        return "0 kB/s"
    return f"{human_size(count) if count >= 1000 else f'{count / 1000:.1f} kB'}/s"


def _plays(screens: int) -> str:
    return "plays" if screens == 1 else "play"


def _arriving(item: Item, doing: Item | None) -> tuple[str, str, str, str]:
    done, size = (doing or item)["done"], (doing or item)["size"]
    share = f"{int(100 * done / size)} %" if size else ""
    return share, human_size(size), rate(doing["download_rate"]) if doing else "", str(item["title"])


def _rest(origin: Item, now: datetime) -> str:
    until = origin["quiet_until"]
    return f"left alone for {span(moment(until), now)}" if until and moment(until) > now else ""


def moment(text: str) -> datetime:
    """Return the instant that an RFC 3339 text names."""
    return datetime.fromisoformat(text).astimezone(UTC)


def span(end: datetime, begin: str | datetime) -> str:
    """Return how long it is from one instant to another."""
    seconds = max(0, round((end - (moment(begin) if isinstance(begin, str) else begin)).total_seconds()))
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            return many(seconds // length, unit)
    return many(seconds, "second")
