"""The audit trail: one row for each call of a tool, chained by a keyed hash.

open_audit() ─> SpooledAuditLog ─┬─> SqlAuditLog ─> tool_invocations, audit_head (SQLite or PostgreSQL)
                                 │                  and the head file outside the database
                                 └─> spool folder, while the database is away
"""

from kitty_core.audit.chain import Break, Head, Verification
from kitty_core.audit.opening import open_audit
from kitty_core.audit.port import AuditLog, AuditRowRefused, AuditSpoolFailed, AuditUnavailable
from kitty_core.audit.records import Decision, Entry, Invocation, Status, arguments_sha256, read_moment
from kitty_core.audit.spool import SpooledAuditLog
from kitty_core.audit.store import SqlAuditLog

__all__ = [
    "AuditLog",
    "AuditRowRefused",
    "AuditSpoolFailed",
    "AuditUnavailable",
    "Break",
    "Decision",
    "Entry",
    "Head",
    "Invocation",
    "SpooledAuditLog",
    "SqlAuditLog",
    "Status",
    "Verification",
    "arguments_sha256",
    "open_audit",
    "read_moment",
]
