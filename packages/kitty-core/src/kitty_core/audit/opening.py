"""The audit trail as the environment says: the one place that chooses its real parts."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import URL

from kitty_core.audit.keys import audit_key
from kitty_core.audit.port import AuditUnavailable
from kitty_core.audit.spool import SpooledAuditLog
from kitty_core.audit.store import SqlAuditLog
from kitty_core.audit.table import OWNER
from kitty_core.database import database_url, open_database
from kitty_core.errors import ConfigurationError
from kitty_core.state import state_dir

log = structlog.get_logger()


class AuditSettings(BaseModel):
    """Field names are the environment variables in lower case. Every program that writes the audit trail reads them."""

    model_config = ConfigDict(frozen=True)

    database_url: str = ""
    """`postgresql://…` or `sqlite:///FILE`; empty: a SQLite file for each owner in the state directory."""
    audit_key: str = ""
    """Key of the audit chain, 32 bytes or more as hex or base64; empty: `audit.key` in the state directory."""
    audit_store_prompts: bool = False
    """Keep the text of requests beside the audit trail."""


def open_audit(env: Mapping[str, str]) -> SpooledAuditLog:
    """The trail that programs write to. A database that is away now is no error: rows wait in the spool.

    Raises:
        ConfigurationError: a variable is wrong, or the trail was begun with another key.
    """
    keeps = stores_prompts(env)
    opened = open_database_log(env, audit_key(env))
    try:
        opened.prepare()
    except AuditUnavailable as error:
        log.warning("audit_unavailable", reason=error.message)
    return SpooledAuditLog(opened, spool_folder(database_url(env, OWNER)), store_prompts=keeps)


def open_database_log(env: Mapping[str, str], key: bytes) -> SqlAuditLog:
    """The trail itself, without its spool; nothing is connected to yet. Raises: ConfigurationError."""
    url = database_url(env, OWNER)
    return SqlAuditLog(open_database(url), key, head_file(url), store_prompts=stores_prompts(env))


def stores_prompts(env: Mapping[str, str]) -> bool:
    """`AUDIT_STORE_PROMPTS`. Raises: ConfigurationError."""
    try:
        return AuditSettings(audit_store_prompts=env.get("AUDIT_STORE_PROMPTS") or False).audit_store_prompts
    except ValidationError:
        raise ConfigurationError("AUDIT_STORE_PROMPTS: want true or false.") from None


def head_file(url: URL) -> Path:
    """Where the head of the trail in `url` is kept outside of it."""
    return _folder(url) / "head.json"


def spool_folder(url: URL) -> Path:
    """Where rows for `url` wait."""
    return _folder(url) / "spool"


def _folder(url: URL) -> Path:
    """One for each database: another one has another end."""
    name = hashlib.sha256(url.set(password=None).render_as_string().encode()).hexdigest()[:16]
    folder = state_dir() / "audit" / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
