"""The first schema."""

import sqlalchemy as sa
from alembic import op

from appliance.store.columns import UtcTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "channels",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("base_url", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("avatar_url", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("followed_at", UtcTime(), nullable=False),
        sa.Column("when_gone", sa.String(), nullable=False),
        sa.Column("web_videos", sa.Boolean(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("trouble", sa.String(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_check", UtcTime(), nullable=True),
        sa.Column("last_change", UtcTime(), nullable=True),
        sa.Column("next_check", UtcTime(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("listing_etag", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_channels_origin"), "channels", ["origin"], unique=False)
    op.create_table(
        "decision_changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("video", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("before", sa.String(), nullable=True),
        sa.Column("after", sa.String(), nullable=True),
        sa.Column("body", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_decision_changes_at"), "decision_changes", ["at"], unique=False)
    op.create_index(op.f("ix_decision_changes_video"), "decision_changes", ["video"], unique=False)
    op.create_table(
        "ledger",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("video", sa.String(), nullable=False),
        sa.Column("rendition", sa.String(), nullable=False),
        sa.Column("traffic", sa.String(), nullable=False),
        sa.Column("up", sa.Integer(), nullable=False),
        sa.Column("down", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", "video", "rendition", "traffic"),
    )
    op.create_table(
        "origins",
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("bytes_taken", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("quiet_until", UtcTime(), nullable=True),
        sa.Column("last_ok", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("origin"),
    )
    op.create_table(
        "rules",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "saved",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("csrf", sa.String(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("last_seen", UtcTime(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("last_used", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_tokens_digest"), "tokens", ["digest"], unique=True)
    op.create_table(
        "videos",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("base_url", sa.String(), nullable=False),
        sa.Column("uuid", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("title_folded", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("duration", sa.Integer(), nullable=False),
        sa.Column("published_at", UtcTime(), nullable=False),
        sa.Column("originally_published_at", UtcTime(), nullable=True),
        sa.Column("updated_at", UtcTime(), nullable=True),
        sa.Column("views", sa.Integer(), nullable=False),
        sa.Column("likes", sa.Integer(), nullable=False),
        sa.Column("is_live", sa.Boolean(), nullable=False),
        sa.Column("nsfw", sa.Boolean(), nullable=False),
        sa.Column("language", sa.String(), nullable=True),
        sa.Column("category", sa.String(), nullable=True),
        sa.Column("thumbnail_url", sa.String(), nullable=True),
        sa.Column("channel_name", sa.String(), nullable=False),
        sa.Column("channel_title", sa.String(), nullable=False),
        sa.Column("tags", sa.String(), nullable=False),
        sa.Column("first_seen", UtcTime(), nullable=False),
        sa.Column("observed_at", UtcTime(), nullable=True),
        sa.Column("upstream", sa.String(), nullable=False),
        sa.Column("upstream_since", UtcTime(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("detail_due", sa.Boolean(), nullable=False),
        sa.Column("detail_at", UtcTime(), nullable=True),
        sa.Column("detail_etag", sa.String(), nullable=True),
        sa.Column("detail_failures", sa.Integer(), nullable=False),
        sa.Column("detail_next", UtcTime(), nullable=True),
        sa.Column("master_url", sa.String(), nullable=True),
        sa.Column("sha256_url", sa.String(), nullable=True),
        sa.Column("trackers", sa.String(), nullable=False),
        sa.Column("mirrors", sa.String(), nullable=False),
        sa.Column("replaced_at", UtcTime(), nullable=True),
        sa.Column("trouble", sa.String(), nullable=True),
        sa.Column("copies", sa.Integer(), nullable=True),
        sa.Column("copies_at", UtcTime(), nullable=True),
        sa.Column("wish", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_videos_origin"), "videos", ["origin"], unique=False)
    op.create_index(op.f("ix_videos_published_at"), "videos", ["published_at"], unique=False)
    op.create_index(op.f("ix_videos_wish"), "videos", ["wish"], unique=False)
    op.create_index("videos_by_detail", "videos", ["origin", "detail_due"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("video", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("since", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["video"], ["videos.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("video"),
    )
    op.create_index(op.f("ix_decisions_position"), "decisions", ["position"], unique=False)
    op.create_index(op.f("ix_decisions_verdict"), "decisions", ["verdict"], unique=False)
    op.create_table(
        "listed",
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("video", sa.String(), nullable=False),
        sa.Column("absent_since", UtcTime(), nullable=True),
        sa.Column("seen_round", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["channel"], ["channels.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["video"], ["videos.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("channel", "video"),
    )
    op.create_index(op.f("ix_listed_video"), "listed", ["video"], unique=False)
    op.create_table(
        "observations",
        sa.Column("video", sa.String(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("views", sa.Integer(), nullable=False),
        sa.Column("likes", sa.Integer(), nullable=False),
        sa.Column("seeds", sa.Integer(), nullable=True),
        sa.Column("mirrors", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["video"], ["videos.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("video", "at"),
    )
    op.create_table(
        "pins",
        sa.Column("video", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("renditions", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("since", UtcTime(), nullable=False),
        sa.Column("pinned_at", UtcTime(), nullable=True),
        sa.Column("trouble", sa.String(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("next_try", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["video"],
            ["videos.id"],
        ),
        sa.PrimaryKeyConstraint("video"),
    )
    op.create_index(op.f("ix_pins_state"), "pins", ["state"], unique=False)
    op.create_table(
        "renditions",
        sa.Column("video", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("fps", sa.Integer(), nullable=False),
        sa.Column("has_video", sa.Boolean(), nullable=False),
        sa.Column("has_audio", sa.Boolean(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("file_url", sa.String(), nullable=False),
        sa.Column("playlist_url", sa.String(), nullable=True),
        sa.Column("torrent_url", sa.String(), nullable=True),
        sa.Column("info_hash", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["video"], ["videos.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("video", "name"),
    )
