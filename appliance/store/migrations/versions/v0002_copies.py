"""Copies elsewhere by source, the origin's trending order, and what crossed the uplink by the hour."""

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
