"""The trail, its head and the prompts; the first two refuse what an append-only table does not do."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SQLITE = """
CREATE TRIGGER tool_invocations_keeps BEFORE {what} ON tool_invocations
BEGIN SELECT RAISE(ABORT, 'tool_invocations is append-only'); END
"""
# INSERT OR REPLACE deletes without asking the trigger above.
SQLITE_REPLACE = """
CREATE TRIGGER tool_invocations_keeps_replaced BEFORE INSERT ON tool_invocations
WHEN EXISTS (SELECT 1 FROM tool_invocations WHERE id = NEW.id OR job_id = NEW.job_id
             OR prev_hash = NEW.prev_hash OR row_hash = NEW.row_hash)
BEGIN SELECT RAISE(ABORT, 'tool_invocations is append-only'); END
"""
SQLITE_HEAD = """
CREATE TRIGGER audit_head_keeps BEFORE DELETE ON audit_head
BEGIN SELECT RAISE(ABORT, 'audit_head is kept'); END
"""
SQLITE_PROMPTS = """
CREATE TRIGGER invocation_prompts_keeps BEFORE UPDATE ON invocation_prompts
BEGIN SELECT RAISE(ABORT, 'a prompt can be erased, not changed'); END
"""
POSTGRES = """
CREATE FUNCTION kitty_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% refuses %', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation'; END $$
"""
POSTGRES_TRIGGERS = """
CREATE TRIGGER tool_invocations_keeps BEFORE UPDATE OR DELETE ON tool_invocations
    FOR EACH ROW EXECUTE FUNCTION kitty_audit_refuse();
CREATE TRIGGER tool_invocations_keeps_all BEFORE TRUNCATE ON tool_invocations
    FOR EACH STATEMENT EXECUTE FUNCTION kitty_audit_refuse();
CREATE TRIGGER audit_head_keeps BEFORE DELETE ON audit_head
    FOR EACH ROW EXECUTE FUNCTION kitty_audit_refuse();
CREATE TRIGGER audit_head_keeps_all BEFORE TRUNCATE ON audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION kitty_audit_refuse();
CREATE TRIGGER invocation_prompts_keeps BEFORE UPDATE ON invocation_prompts
    FOR EACH ROW EXECUTE FUNCTION kitty_audit_refuse();
"""


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.create_table(
        "tool_invocations",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("job_id", sa.Text),
        sa.Column("conversation_id", sa.Text),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("tool", sa.Text, nullable=False),
        sa.Column("args_sha256", sa.Text),
        sa.Column("hazard_class", sa.Text),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("status", sa.Text),
        sa.Column("verdict", sa.Text),
        sa.Column("tests_passed", sa.Boolean),
        sa.Column("refinements", sa.Integer),
        sa.Column("latency_ms", sa.BigInteger),
        sa.Column("model", sa.Text),
        sa.Column("model_sha256", sa.Text),
        sa.Column("sandbox_tier", sa.Text),
        sa.Column("code_sha256", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("created_at", sa.String(27) if sqlite else sa.DateTime(timezone=True), nullable=False),
        sa.Column("prev_hash", sa.Text, nullable=False, unique=True),
        sa.Column("row_hash", sa.Text, nullable=False, unique=True),
    )
    # NULL equals no NULL: many rows may have no job.
    op.create_index("tool_invocations_job", "tool_invocations", ["job_id"], unique=True)
    op.create_index("tool_invocations_newest", "tool_invocations", ["created_at", "id"])
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("row_hash", sa.Text, nullable=False),
        sa.Column("mac", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
    )
    op.execute(f"INSERT INTO audit_head VALUES (1, 0, '{'0' * 64}', '', '')")
    op.create_table(
        "invocation_prompts",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("mac", sa.Text, nullable=False),
    )
    if sqlite:
        for what in ("UPDATE", "DELETE"):
            op.execute(SQLITE.replace("keeps", f"keeps_{what.lower()}").format(what=what))
        for trigger in (SQLITE_REPLACE, SQLITE_HEAD, SQLITE_PROMPTS):
            op.execute(trigger)
    else:
        op.execute(POSTGRES)
        for trigger in POSTGRES_TRIGGERS.strip().split(";\n"):
            op.execute(trigger.rstrip(";"))
