"""The engine's tables; coder_agent.engine.migrations makes them. Times are seconds since the epoch."""

from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, MetaData, String, Table, Text

OWNER = "jobs"
MIGRATIONS = "coder_agent.engine.migrations"
metadata = MetaData()
Number = BigInteger().with_variant(Integer, "sqlite")

jobs = Table(
    "coder_jobs",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),  # the order of coming
    Column("id", String(64), nullable=False, unique=True),
    Column("queue", String(100), nullable=False),
    Column("user_id", String(200), nullable=False),
    Column("request_id", String(200)),
    Column("conversation_id", String(200)),
    Column("idempotency_key", String(200)),
    Column("body_sha256", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("is_attached", Boolean, nullable=False),
    Column("attached_until", Double),
    Column("status", String(16), nullable=False),
    Column("verdict", String(32)),
    Column("step", String(32)),
    Column("attempt", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("worker", String(200)),
    Column("lease_until", Double),
    Column("cancel_requested", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("deadline_sec", Double),
    Column("deadline_at", Double),
    Column("state", Text),  # emptied when the job has succeeded
    Column("answer", Text),
    Column("last_event", Integer, nullable=False),
    Column("resumes", Integer, nullable=False),
    Column("note", Text, nullable=False),
    Column("is_told", Boolean, nullable=False),
)

events = Table(
    "coder_job_events",
    metadata,
    Column("job_id", String(64), primary_key=True),
    Column("id", Integer, primary_key=True),
    Column("data", Text, nullable=False),
    sqlite_with_rowid=False,
)
