"""What the command line prints of rules, the plan and exports: this module lays the API's answers out.

``printout`` has the columns, and everything else that is printed.
"""

from datetime import datetime

from appliance.printout import Item, many, moment, more, plain, rate, span, table
from policies.explain import human_date, human_size, human_span

_SOURCES = {"tracker": "the tracker", "peers": "peers met", "mirrors": "the origin's mirrors", "origin": "the origin"}


def rules(answer: Item, plan: Item) -> str:
    """Lay out the rules, each with what it spends of its budget."""
    spent = {use["rule"]: use for use in plan["rules"]}
    rows = []
    for item in answer["items"]:
        use = spent.get(item["id"], {"used": 0, "budget": item["budget"], "videos": 0})
        budget = "all the disk may hold" if use["budget"] is None else human_size(use["budget"])
        state = "paused" if item["paused"] else "in force"
        spends = (str(use["videos"]), human_size(use["used"]), budget)
        rows.append((str(item["id"]), state, str(item["kind"]), *spends, str(item["name"])))
    if not rows:
        return "No rule is in force: only what is pinned by hand is kept."
    headings = ("ID", "STATE", "KIND", "VIDEOS", "USED", "OF", "NAME")
    return "\n".join([table(headings, rows, right=("VIDEOS", "USED", "OF")), *more(answer)])


def plan(answer: Item, *, explain: bool) -> str:
    """Lay out the plan, with all reasons where they are asked for."""
    lines = []
    for line in answer["items"]:
        lines.append(f"{line['word']:8} {human_size(line['size']):>9}  {plain(line['title'])}")
        if explain:
            lines += [f"{'':20}{said}" for said in _why(line)]
    if not lines:
        return "Nothing to decide yet: follow a channel first." if not answer["total"] else "Nothing more."
    return "\n".join([*lines, *more(answer)])


def explained(answer: Item, now: datetime) -> str:
    """Lay out all that the plan says of one video."""
    head = f"{plain(str(answer['title']))} ({plain(str(answer['channel_title'] or answer['origin']))})"
    decision = answer.get("decision")
    if not decision:
        return f"{head}\nNot weighed yet; the next plan will."
    facts = [("", decision["word"] + (f", {human_size(decision['size'])}" if decision["size"] else ""))]
    facts += [("", said) for said in _why(decision)]
    if decision["rule_name"]:
        facts.append(("Rule", decision["rule_name"]))
    if decision["rank"] is not None:
        by = f", {decision['ranked_by']}" if decision["ranked_by"] else ""
        facts.append(("Rank", f"number {decision['rank']:,}{by}"))
    facts.append(("Copies", _copies(answer, now)))
    if decision["earliest_release"]:
        facts.append(("Stays", f"at least until {human_date(decision['earliest_release'])}"))
    return "\n".join([head, *(f"  {name:8}{plain(text)}" if name else f"  {plain(text)}" for name, text in facts)])


def preview(answer: Item) -> str:
    """Lay out what rules would come to."""
    comes, goes = answer["comes"], answer["goes"]
    lines = [
        f"Comes    {many(comes['videos'], 'video')}, {human_size(comes['bytes'])}{_time(answer)}",
        f"Goes     {many(goes['videos'], 'video')}, {human_size(goes['bytes'])}",
    ]
    if (before := answer["disk_before"]) and (after := answer["disk_after"]):
        lines.append(f"Disk     {human_size(before['used'])} kept now, {human_size(after['used'])} then;")
        free = max(0, after["free"] - after["floor"])
        lines[-1] += f" {human_size(free)} free to use of {human_size(after['total'])}"
    for rule in answer["rules"]:
        budget = "all the disk may hold" if rule["budget"] is None else human_size(rule["budget"])
        lines.append(
            f"{'':9}{plain(rule['name'])}: {many(rule['videos'], 'video')}, {human_size(rule['used'])} of {budget}"
        )
    moving = [line for line in answer["items"] if line["word"] in ("wanted", "going")]
    for line in moving:
        lines.append(f"{line['word']:8} {human_size(line['size']):>9}  {plain(line['title'])}")
        lines += [f"{'':20}{said}" for said in _why(line)[:1]]
    if (left := comes["videos"] + goes["videos"] - len(moving)) > 0:
        lines.append(f"… and {left:,} more.")
    return "\n".join([*lines, "Nothing is changed yet: `seedkeep rules import FILE` has these rules in force."])


def plan_history(answer: Item) -> str:
    """Lay out what the last plans changed, the latest first."""
    words = {"pin": "comes", "keep": "kept", "release": "goes", "leave": "skipped"}
    lines = []
    for one in answer["items"]:
        lines.append(f"{moment(one['at']):%Y-%m-%d %H:%M} UTC, {many(one['count'], 'change')}")
        for change in one["changes"]:
            reasons = (change["decision"] or {}).get("reasons") or [{"text": ""}]
            lines.append(f"  {words.get(change['after'], 'gone'):8} {plain(change['title'])}")
            lines.append(f"{'':11}{plain(reasons[0]['text'])}")
    return "\n".join([*lines, *more(answer)]) if lines else "No plan has changed anything yet."


def exported(made: Item) -> str:
    """Say how an export ended."""
    if made["state"] == "failed":
        trouble = made["trouble"] or {"message": "It failed.", "hint": ""}
        return f"{plain(trouble['message'])} {plain(trouble['hint'])}".rstrip()
    size = human_size(made["linked"] + made["copied"] + made["present"])
    how = f", {human_size(made['copied'])} of it copied" if made["copied"] else ""
    lines = [f"{plain(made['path'])}: {many(made['done'], 'video')}, {size}{how}."]
    return "\n".join([*lines, *(f"  ! {plain(left)}" for left in made["left"])])


# Inside


def _why(decision: Item) -> list[str]:
    """Return the reasons of a decision, and what would have to change."""
    change = decision.get("change")
    return [plain(r["text"]) for r in [*decision["reasons"], *([change] if change else [])]]


def _copies(answer: Item, now: datetime) -> str:
    live = "unknown" if answer["copies"] is None else f"{answer['copies']:,}"
    proof = f", {answer['copies_verified']} verified" if answer["copies_verified"] else ""
    by = [
        f"{one['count']} by {_SOURCES.get(one['source'], one['source'])}, {span(now, one['at'])} ago"
        for one in answer["copies_by"]
    ]
    return f"{live}{proof} elsewhere" + (f" ({'; '.join(by)})" if by else "")


def _time(answer: Item) -> str:
    match answer["pace"]:
        case "stopped":
            return "; nothing is fetched while the download limit is 0"
        case "line":
            return ", as fast as the line allows" if answer["comes"]["bytes"] else ""
    if not answer["seconds"]:
        return ""
    how = "the limit" if answer["pace"] == "limit" else "the present rate"
    return f", about {human_span(answer['seconds'])} at {how} of {rate(answer['rate'])}"
