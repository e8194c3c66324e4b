"""What is held only because it was watched."""

import sqlalchemy as sa
from alembic import op

from appliance.store.columns import UtcTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cached",
        sa.Column("video", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.Column("watched_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["video"], ["videos.id"]),
        sa.PrimaryKeyConstraint("video"),
    )
