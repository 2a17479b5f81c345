"""The tables of the audit trail, as the programs see them; `migrations` makes them."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

from kitty_core.audit.records import COLUMNS, Entry, in_utc

MIGRATIONS = "kitty_core.audit.migrations"
OWNER = "audit"


class Moment(TypeDecorator[str]):
    """A moment as `in_utc` writes it: that text on SQLite, a timestamp with time zone on PostgreSQL."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        kind = DateTime(timezone=True) if dialect.name == "postgresql" else String(27)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | datetime | None:
        return datetime.fromisoformat(value) if value is not None and dialect.name == "postgresql" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return in_utc(value) if isinstance(value, datetime) else value


metadata = MetaData()
tool_invocations = Table(
    "tool_invocations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("job_id", Text),
    Column("conversation_id", Text),
    Column("user_id", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("args_sha256", Text),
    Column("hazard_class", Text),
    Column("decision", Text, nullable=False),
    Column("status", Text),
    Column("verdict", Text),
    Column("tests_passed", Boolean),
    Column("refinements", Integer),
    Column("latency_ms", BigInteger),
    Column("model", Text),
    Column("model_sha256", Text),
    Column("sandbox_tier", Text),
    Column("code_sha256", Text),
    Column("error", Text),
    Column("created_at", Moment, nullable=False),
    Column("prev_hash", Text, nullable=False),
    Column("row_hash", Text, nullable=False),
)
"""Exactly the contract's columns. No number says the order: `prev_hash` does, and no two rows have the same."""

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("row_hash", Text, nullable=False),
    Column("mac", Text, nullable=False),
    Column("key_id", Text, nullable=False),
)
"""One row (id 1), made with the table; without a `mac` until the first row is written. Who writes locks it."""

invocation_prompts = Table(
    "invocation_prompts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("prompt", Text, nullable=False),
    Column("mac", Text, nullable=False),
)
"""Beside the chain, so that a prompt can be erased; one that was changed is found by its `mac`."""


def as_entry(row: RowMapping) -> Entry:
    """A row of `tool_invocations` as it is stored."""
    return Entry({name: row[name] for name in COLUMNS}, row["prev_hash"], row["row_hash"])
