"""The audit trail: one row for each call of a tool, chained by a keyed hash.

Recorder ─> open_audit() ─> SpooledAuditLog ─┬─> SqlAuditLog ─> tool_invocations, audit_head (SQLite or PostgreSQL)
                                             │                  and the head file outside the database
                                             └─> spool folder, while the database is away

What knows databases takes half a second to import: it is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kitty_core.audit.chain import Break, Head, Verification
from kitty_core.audit.facts import Facts, facts_of
from kitty_core.audit.port import AuditLog, AuditRowRefused, AuditSpoolFailed, AuditUnavailable
from kitty_core.audit.recorder import Recorder, Row
from kitty_core.audit.records import Decision, Entry, Invocation, Status, arguments_sha256, read_moment
from kitty_core.audit.spool import SpooledAuditLog

if TYPE_CHECKING:
    from kitty_core.audit.opening import open_audit
    from kitty_core.audit.store import SqlAuditLog

LATER = {"open_audit": "kitty_core.audit.opening", "SqlAuditLog": "kitty_core.audit.store"}

__all__ = [
    "AuditLog",
    "AuditRowRefused",
    "AuditSpoolFailed",
    "AuditUnavailable",
    "Break",
    "Decision",
    "Entry",
    "Facts",
    "Head",
    "Invocation",
    "Recorder",
    "Row",
    "SpooledAuditLog",
    "SqlAuditLog",
    "Status",
    "Verification",
    "arguments_sha256",
    "facts_of",
    "open_audit",
    "read_moment",
]


def __getattr__(name: str) -> Any:
    if name not in LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(LATER[name]), name)
