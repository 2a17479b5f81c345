"""API keys, calls that wait for a confirmation, approvals that were used."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(200), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("last_used", sa.Double),
        sa.Column("revoked_at", sa.Double),
    )
    op.create_table(
        "pending_calls",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("tool", sa.String(200), nullable=False),
        sa.Column("arguments", sa.Text),
        sa.Column("arguments_sha256", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(200), nullable=False),
        sa.Column("conversation_id", sa.String(200), nullable=False),
        sa.Column("phrase", sa.Text, nullable=False),
        sa.Column("hazard_class", sa.String(16), nullable=False),
        sa.Column("dual_confirm", sa.Boolean, nullable=False),
        sa.Column("override_given", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("decided_at", sa.Double),
    )
    op.create_index("pending_calls_by_user", "pending_calls", ["user_id", "state"])
    op.create_table(
        "used_approvals",
        sa.Column("nonce", sa.String(64), primary_key=True),
        sa.Column("pending_id", sa.String(32), nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
