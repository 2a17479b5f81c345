"""Databases as in use: a SQLite file, and a PostgreSQL that the tests start."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from typing import Any, cast

import pytest
from sqlalchemy import URL, Engine, text

from kitty_core.audit import Invocation, SqlAuditLog
from kitty_core.database import database_url, open_database
from kitty_core.testing import emptied, running_postgres

KEY = b"k" * 32
WITHIN_SEC = 60
KEEPS = ("tool_invocations", "audit_head", "invocation_prompts")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A server for the whole session."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def own_postgres() -> Iterator[Any]:
    """A server that the test may stop."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_address(postgres: Any) -> URL:
    """The session's server, with nothing in its database."""
    return emptied(postgres, "audit")


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """An empty database."""
    if request.param == "postgres":
        return cast("URL", request.getfixturevalue("postgres_address"))
    return database_url({"DATABASE_URL": f"sqlite:///{tmp_path / 'audit.sqlite3'}"}, "audit")


@dataclass
class Trail:
    """A database with an audit trail, and who tampers with it."""

    url: URL
    folder: Path
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = open_database(self.url, lock_within_sec=WITHIN_SEC)
        self.log = self.opened()

    @property
    def address(self) -> str:
        return self.url.render_as_string(hide_password=False)

    def opened(self, key: bytes = KEY, head_file: str = "head.json", **options: Any) -> SqlAuditLog:
        return SqlAuditLog(self.engine, key, self.folder / head_file, **options)

    def write(self, count: int) -> list[str]:
        """Writes so many rows; their ids in order."""
        rows = [an_invocation(request_id=f"r{number}") for number in range(count)]
        for row in rows:
            self.log.append(row)
        self.log.settle()
        return [row.id for row in rows]

    def tamper(self, *statements: str, **values: Any) -> None:
        """As the owner of the database, who can drop what protects the tables."""
        unprotect = self._unprotect()
        with self.engine.begin() as connection:
            for statement in unprotect:
                connection.execute(text(statement))
            for statement in statements:
                connection.execute(text(statement), values)

    def column(self, name: str) -> list[Any]:
        """Its values in the order of the chain."""
        rows = self.rows()
        by_place = {row["prev_hash"]: row for row in rows}
        found, place = [], "0" * 64
        while place in by_place:
            found.append(by_place[place][name])
            place = by_place[place]["row_hash"]
        return found

    def rows(self) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text("SELECT * FROM tool_invocations")).mappings())

    def _unprotect(self) -> list[str]:
        if self.url.get_backend_name() == "postgresql":
            return [f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in KEEPS]
        with self.engine.connect() as connection:
            names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars()
            return [f"DROP TRIGGER {name}" for name in names]


def an_invocation(**values: Any) -> Invocation:
    usual = {"request_id": "r", "tool": "coding.generate", "user_id": "local", "decision": "allowed", "status": "ok"}
    return Invocation(**usual | values)


@pytest.fixture
def trail(address: URL, tmp_path: Path) -> Iterator[Trail]:
    """An empty trail."""
    trail = Trail(address, tmp_path)
    yield trail
    trail.engine.dispose()


@pytest.fixture
def make_invocation() -> Any:
    return an_invocation


@pytest.fixture
def processes() -> Iterator[Any]:
    """Starts Python programs; those that are left are ended."""
    started: list[subprocess.Popen[bytes]] = []

    def start(program: str, *arguments: object) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", program, *map(str, arguments)]
        started.append(subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=WITHIN_SEC)
