"""Jobs and their events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "coder_jobs",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("queue", sa.String(100), nullable=False),
        sa.Column("user_id", sa.String(200), nullable=False),
        sa.Column("request_id", sa.String(200)),
        sa.Column("conversation_id", sa.String(200)),
        sa.Column("idempotency_key", sa.String(200)),
        sa.Column("body_sha256", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("is_attached", sa.Boolean, nullable=False),
        sa.Column("attached_until", sa.Double),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("verdict", sa.String(32)),
        sa.Column("step", sa.String(32)),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("crashes", sa.Integer, nullable=False),
        sa.Column("worker", sa.String(200)),
        sa.Column("lease_until", sa.Double),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("finished_at", sa.Double),
        sa.Column("deadline_sec", sa.Double),
        sa.Column("deadline_at", sa.Double),
        sa.Column("state", sa.Text),
        sa.Column("answer", sa.Text),
        sa.Column("last_event", sa.Integer, nullable=False),
        sa.Column("resumes", sa.Integer, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("is_told", sa.Boolean, nullable=False),
    )
    # Those that wait or run are few beside those that have ended.
    alive = sa.text("status IN ('queued', 'running', 'waiting')")
    op.create_index(
        "coder_jobs_alive",
        "coder_jobs",
        ["status", "queue", "user_id", "number"],
        sqlite_where=alive,
        postgresql_where=alive,
    )
    untold = sa.text("NOT is_told AND finished_at IS NOT NULL")
    op.create_index("coder_jobs_untold", "coder_jobs", ["finished_at"], sqlite_where=untold, postgresql_where=untold)
    op.create_index("coder_jobs_served", "coder_jobs", ["user_id", "started_at"])
    op.create_index("coder_jobs_ended", "coder_jobs", ["finished_at"])
    op.create_index("coder_jobs_key", "coder_jobs", ["user_id", "idempotency_key"], unique=True)
    op.create_table(
        "coder_job_events",
        sa.Column("job_id", sa.String(64), primary_key=True),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("data", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
