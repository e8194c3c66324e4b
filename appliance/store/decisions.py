"""Decisions: the present plan's lines, and a log of those that changed. This module has the noun."""

from datetime import datetime

from sqlalchemy.dialects.sqlite import insert
from sqlmodel import Session, col, delete, func, or_, select

from appliance.domain.catalogue import Change, Replanned
from appliance.domain.plan import Decision, Plan, ReasonCode, Verdict
from appliance.domain.units import VideoId
from appliance.errors import NoSpace
from appliance.store.columns import pack, unpack
from appliance.store.engine import touched
from appliance.store.tables import DecisionChangeRow, DecisionRow, PinRow, VideoRow

_KEPT_CHANGES = 5_000
_SHOWN_CHANGES = 200
"""Of one plan, at most so many changes are told one by one."""
_QUIET = (Verdict.LEAVE.value, None)


def put_plan(session: Session, plan: Plan, now: datetime) -> int:
    """Make ``plan`` the present one, log the verdicts that changed, and return how many did."""
    old = {r.video: (r.verdict, r.position, r.body, r.since) for r in session.exec(select(DecisionRow))}
    values: list[dict[str, object]] = []
    changes: list[DecisionChangeRow] = []
    for position, decision in enumerate(plan.decisions):
        body, verdict = pack(decision), decision.verdict.value
        before = old.pop(decision.video, None)
        if before is not None and before[:3] == (verdict, position, body):
            continue
        moved = before is None or before[0] != verdict
        since = now if before is None or moved else before[3]
        values.append({"video": decision.video, "verdict": verdict, "position": position, "body": body, "since": since})
        was = None if before is None else before[0]
        if moved and not (was in _QUIET and verdict in _QUIET):
            changes.append(
                DecisionChangeRow(at=now, video=decision.video, title="", before=was, after=verdict, body=body)
            )
            touched(session, "decision", decision.video)
    for start in range(0, len(values), 500):
        statement = insert(DecisionRow)
        statement = statement.on_conflict_do_update(
            index_elements=["video"],
            set_={n: statement.excluded[n] for n in ("verdict", "position", "body", "since")},
        )
        session.execute(statement, values[start : start + 500])
    if old:
        session.exec(delete(DecisionRow).where(col(DecisionRow.video).in_(list(old))))
    _log(session, changes)
    if values or old:
        touched(session, "plan")
    return len(changes)


def _log(session: Session, changes: list[DecisionChangeRow]) -> None:
    if not changes:
        return
    ids = [c.video for c in changes]
    titles = dict(session.exec(select(VideoRow.id, VideoRow.title).where(col(VideoRow.id).in_(ids))).all())
    for change in changes:
        change.title = titles.get(change.video, "")
    session.add_all(changes)
    session.flush()
    last = session.exec(
        select(DecisionChangeRow.id).order_by(col(DecisionChangeRow.id).desc()).offset(_KEPT_CHANGES).limit(1)
    ).first()
    if last is not None:
        session.exec(delete(DecisionChangeRow).where(col(DecisionChangeRow.id) <= last))


def every(session: Session) -> tuple[Decision, ...]:
    """Return the present decisions in the plan's order."""
    return tuple(
        unpack(Decision, body) for body in session.exec(select(DecisionRow.body).order_by(col(DecisionRow.position)))
    )


def to_carry_out(session: Session) -> tuple[Decision, ...]:
    """Return the decisions that ask for something: to pin, to release, and those on what is pinned in any state."""
    pinned = select(PinRow.video)
    query = (
        select(DecisionRow.body)
        .where(
            col(DecisionRow.verdict).in_((Verdict.PIN.value, Verdict.RELEASE.value))
            | col(DecisionRow.video).in_(pinned)
        )
        .order_by(col(DecisionRow.position))
    )
    return tuple(unpack(Decision, body) for body in session.exec(query))


def want_room(session: Session) -> bool:
    """Tell whether anything would be kept if the disk had more room, or waits for room."""
    codes = (ReasonCode.NO_SPACE, ReasonCode.OUTRANKED, ReasonCode.TOO_LARGE)
    short = or_(*(col(DecisionRow.body).contains(f'"{code.value}"') for code in codes))
    left = select(DecisionRow.video).where(DecisionRow.verdict == Verdict.LEAVE.value, short).limit(1)
    waiting = select(PinRow.video).where(col(PinRow.trouble).contains(f'"{NoSpace.code}"')).limit(1)
    return session.exec(waiting).first() is not None or session.exec(left).first() is not None


def one(session: Session, video: VideoId) -> Decision | None:
    row = session.get(DecisionRow, video)
    return None if row is None else unpack(Decision, row.body)


def asking(session: Session) -> tuple[Decision, ...]:
    """Return the decisions that need the owner's word, in the plan's order: last copies beyond their budget."""
    query = select(DecisionRow.body).where(col(DecisionRow.body).contains('"asks":true'))
    found = (unpack(Decision, body) for body in session.exec(query.order_by(col(DecisionRow.position))))
    return tuple(one for one in found if one.asks)


def changes(session: Session, limit: int) -> tuple[Change, ...]:
    """Return the latest changed decisions, newest first."""
    rows = session.exec(select(DecisionChangeRow).order_by(col(DecisionChangeRow.id).desc()).limit(limit))
    return tuple(map(_change, rows))


def history(session: Session, limit: int, offset: int = 0) -> tuple[int, tuple[Replanned, ...]]:
    """Return how many plans changed something, and those asked for, newest first, each with what it changed."""
    times = select(DecisionChangeRow.at, func.count()).group_by(col(DecisionChangeRow.at))
    shown = session.exec(times.order_by(col(DecisionChangeRow.at).desc()).limit(limit).offset(offset)).all()
    total = session.exec(select(func.count(func.distinct(DecisionChangeRow.at)))).one()
    made = []
    for at, count in shown:
        rows = session.exec(
            select(DecisionChangeRow)
            .where(DecisionChangeRow.at == at)
            .order_by(col(DecisionChangeRow.id))
            .limit(_SHOWN_CHANGES)
        )
        made.append(Replanned(at, int(count), tuple(map(_change, rows))))
    return int(total), tuple(made)


def _change(row: DecisionChangeRow) -> Change:
    return Change(
        at=row.at,
        video=VideoId(row.video),
        title=row.title,
        before=None if row.before is None else Verdict(row.before),
        after=None if row.after is None else Verdict(row.after),
        decision=None if row.body is None else unpack(Decision, row.body),
    )
