"""What giving needs to know of every video held: bytes, copies, and what its rule says. This module asks for it."""

from dataclasses import dataclass

from sqlmodel import Session, col, func, select

from appliance.domain.pin import PinState
from appliance.domain.plan import Decision, Rule
from appliance.domain.units import ByteCount, RuleId, VideoId
from appliance.store import rules
from appliance.store.columns import unpack
from appliance.store.tables import DecisionRow, LedgerRow, PinRow, VideoRow


@dataclass(frozen=True, slots=True)
class Giving:
    """``given`` are bytes ever given to anybody; ``copies`` None is unknown; ``rule`` pays for it, if one does."""

    size: ByteCount
    given: ByteCount
    copies: int | None
    rule: Rule | None


def every(session: Session) -> dict[VideoId, Giving]:
    """Return this of each video of which we hold anything."""
    named: dict[RuleId, Rule] = {rule.id: rule for rule in rules.every(session)}
    totals = session.exec(select(LedgerRow.video, func.sum(LedgerRow.up)).group_by(col(LedgerRow.video)))
    given = {video: int(up) for video, up in totals}
    query = (
        select(PinRow.video, PinRow.done, VideoRow.copies, DecisionRow.body)
        .join(VideoRow, col(VideoRow.id) == col(PinRow.video))
        .outerjoin(DecisionRow, col(DecisionRow.video) == col(PinRow.video))
        .where(PinRow.state != PinState.RELEASING.value, PinRow.done > 0)
    )
    found: dict[VideoId, Giving] = {}
    for video, done, copies, body in session.exec(query):
        payer = unpack(Decision, body).rule if body else None
        rule = None if payer is None else named.get(payer)
        found[VideoId(video)] = Giving(ByteCount(done), ByteCount(given.get(video, 0)), copies, rule)
    return found
