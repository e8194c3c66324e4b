"""Copies elsewhere by source, the origin's trending order, what crossed the uplink by the hour, and rules' filters."""

import json

import sqlalchemy as sa
from alembic import op

from appliance.store.columns import UtcTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("videos", sa.Column("trend_rank", sa.Integer(), nullable=True))
    op.add_column("videos", sa.Column("trend_at", UtcTime(), nullable=True))
    op.create_table(
        "copies",
        sa.Column("video", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["video"], ["videos.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("video", "source", "host"),
    )
    op.create_table(
        "transfer",
        sa.Column("hour", UtcTime(), nullable=False),
        sa.Column("up", sa.Integer(), nullable=False),
        sa.Column("down", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hour"),
    )
    _move_min_views()


def _move_min_views() -> None:
    """Move what was a field of a rule to where filters are. Unread, it would be lost, and the rule take more."""
    rules = sa.table("rules", sa.column("id", sa.String()), sa.column("body", sa.String()))
    bind = op.get_bind()
    for ident, body in bind.execute(sa.select(rules.c.id, rules.c.body)).all():
        rule = json.loads(body)
        if "min_views" not in rule:
            continue
        least = rule.pop("min_views")
        if least is not None:
            rule["filters"] = {**rule.get("filters", {}), "min_views": least}
        bind.execute(sa.update(rules).where(rules.c.id == ident).values(body=json.dumps(rule)))
