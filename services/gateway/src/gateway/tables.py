"""The gateway's own tables; gateway.migrations makes them. Times are seconds since the epoch."""

from sqlalchemy import Boolean, Column, Double, MetaData, String, Table, Text

metadata = MetaData()

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("user_id", String(200), nullable=False),
    Column("role", String(16), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("last_used", Double),
    Column("revoked_at", Double),
)

pending_calls = Table(
    "pending_calls",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tool", String(200), nullable=False),
    Column("arguments", Text),  # the exact JSON; emptied as soon as the call is decided
    Column("arguments_sha256", String(64), nullable=False),
    Column("user_id", String(200), nullable=False),
    Column("conversation_id", String(200), nullable=False),  # "" where the call belongs to none
    Column("phrase", Text, nullable=False),
    Column("hazard_class", String(16), nullable=False),
    Column("dual_confirm", Boolean, nullable=False),
    Column("override_given", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("state", String(16), nullable=False),  # pending, confirmed, cancelled or expired
    Column("decided_at", Double),
)

used_approvals = Table(
    "used_approvals",
    metadata,
    Column("nonce", String(64), primary_key=True),
    Column("pending_id", String(32), nullable=False),
    Column("expires_at", Double, nullable=False),
)
