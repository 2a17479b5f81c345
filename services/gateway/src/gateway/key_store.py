"""API keys: `kitty_` and 32 random bytes. What is stored cannot be turned back into a key.

A key has 256 bits of chance, so one round of SHA-256 is enough to keep it: nobody can try them out, and a slow hash
would only make each request slow. The first eight characters are its public id, by which it is looked up; the rest
(208 bits) is compared in constant time.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import structlog
from sqlalchemy import Engine, Row, insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError

from gateway.errors import DatabaseIsAway
from gateway.tables import api_keys
from kitty_core.database import reading

log = structlog.get_logger()
Role = Literal["admin", "user", "read-only"]
PREFIX = "kitty_"
ID_LENGTH = 8
USE_NOTED_EVERY_SEC = 60.0
"""`last_used` is this exact: a write for each request would cost more than the request."""


@dataclass(frozen=True)
class Key:
    """What is known of a key."""

    id: str
    user_id: str
    role: Role
    created_at: float
    """Seconds since the epoch, as the next two."""
    last_used: float | None = None
    revoked_at: float | None = None


class KeyStore:
    """The table of keys. All methods block: call them in a thread."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock
        self._seen: dict[str, tuple[str, Key]] = {}
        """Keys that were right, by hash: they stay so while the database is away, as nobody can revoke one then."""

    def create(self, user_id: str, role: Role) -> tuple[Key, str]:
        """A new key, and the text that is shown once and never stored."""
        while True:
            text = PREFIX + secrets.token_urlsafe(32)
            key = Key(_id_of(text), user_id, role, self._clock())
            try:
                with self._engine.begin() as connection:
                    connection.execute(insert(api_keys).values(sha256=_sha256(text), **vars(key)))
            except IntegrityError:  # its public id is taken, once in 2^48
                continue
            return key, text

    def find(self, text: str) -> Key | None:
        """The key that `text` is, unless there is none or it was revoked.

        Raises:
            DatabaseIsAway: it cannot be asked, and this key was not right before.
        """
        digest = _sha256(text)
        try:
            with reading(self._engine) as connection:
                row = connection.execute(select(api_keys).where(api_keys.c.id == _id_of(text))).one_or_none()
        except OperationalError:
            return self._remembered(digest)
        if row is None or not hmac.compare_digest(row.sha256, digest) or row.revoked_at is not None:
            self._seen.pop(digest, None)
            return None
        key = _key(row)
        self._seen[digest] = (key.id, key)
        self._note_use(key)
        return key

    def list(self) -> "list[Key]":
        """All, revoked ones too, oldest first."""
        with reading(self._engine) as connection:
            return [_key(row) for row in connection.execute(select(api_keys).order_by(api_keys.c.created_at))]

    def revoke(self, key_id: str) -> bool:
        """From now on the key is wrong. False: there is no such key that was right."""
        with self._engine.begin() as connection:
            changed = connection.execute(
                update(api_keys)
                .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
                .values(revoked_at=self._clock())
            )
            return changed.rowcount == 1

    def has_any(self) -> bool:
        """Whether one key is right."""
        with reading(self._engine) as connection:
            first = select(api_keys.c.id).where(api_keys.c.revoked_at.is_(None)).limit(1)
            return connection.execute(first).one_or_none() is not None

    def _remembered(self, digest: str) -> Key:
        if digest not in self._seen:
            raise DatabaseIsAway
        return self._seen[digest][1]

    def _note_use(self, key: Key) -> None:
        now = self._clock()
        if key.last_used is not None and now - key.last_used < USE_NOTED_EVERY_SEC:
            return
        try:
            with self._engine.begin() as connection:
                connection.execute(update(api_keys).where(api_keys.c.id == key.id).values(last_used=now))
        except OperationalError as error:
            log.warning("key_use_not_noted", key=key.id, reason=type(error.orig).__name__)


def _id_of(text: str) -> str:
    return text.removeprefix(PREFIX)[:ID_LENGTH]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _key(row: "Row[tuple[object, ...]]") -> Key:
    return Key(row.id, row.user_id, cast(Role, row.role), row.created_at, row.last_used, row.revoked_at)
