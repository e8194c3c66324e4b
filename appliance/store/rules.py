"""Rules: the owner's, in order. This module has the noun."""

from sqlmodel import Session, col, func, select

from appliance.domain.plan import Rule
from appliance.domain.units import RuleId
from appliance.store.columns import pack, unpack
from appliance.store.engine import touched
from appliance.store.tables import RuleRow


def every(session: Session) -> tuple[Rule, ...]:
    """Return all rules in the owner's order."""
    rows = session.exec(select(RuleRow).order_by(col(RuleRow.position), col(RuleRow.id)))
    return tuple(unpack(Rule, r.body) for r in rows)


def one(session: Session, rule: RuleId) -> Rule | None:
    row = session.get(RuleRow, rule)
    return None if row is None else unpack(Rule, row.body)


def put(session: Session, rule: Rule) -> None:
    """Add a rule at the end, or replace the one with its id where it stands."""
    row = session.get(RuleRow, rule.id)
    if row is None:
        last = session.exec(select(func.max(RuleRow.position))).one()
        row = RuleRow(id=rule.id, position=(last or 0) + 1, body="")
    row.body = pack(rule)
    session.add(row)
    touched(session, "rule", rule.id)


def drop(session: Session, rule: RuleId) -> bool:
    row = session.get(RuleRow, rule)
    if row is None:
        return False
    session.delete(row)
    touched(session, "rule", rule)
    return True


def replace(session: Session, chosen: tuple[Rule, ...]) -> None:
    """Have exactly these rules, in this order."""
    keep = {rule.id for rule in chosen}
    for row in session.exec(select(RuleRow)).all():
        if row.id not in keep:
            session.delete(row)
            touched(session, "rule", row.id)
    for position, rule in enumerate(chosen, 1):
        row = session.get(RuleRow, rule.id) or RuleRow(id=rule.id, position=position, body="")
        row.position, row.body = position, pack(rule)
        session.add(row)
        touched(session, "rule", rule.id)
