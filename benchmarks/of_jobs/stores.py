"""The databases that jobs are kept in. Each measurement begins with an empty one."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import URL, text

from kitty_core.database import database_url, open_database
from of_jobs.figures import cpu_sec


class SqliteStore:
    """A file each. Every commit is on disk (synchronous = FULL), as in production."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()

    def fresh(self) -> URL:
        """An empty database."""
        return URL.create("sqlite", database=str(self._folder / f"jobs{next(self._numbers)}.sqlite3"))


class PostgresStore:
    """A database each, of one server on this machine, reached by a socket. Its commits do not wait for the disk
    unless `with_fsync` was called.
    """

    name = "postgres"

    def __init__(self, server: Any) -> None:
        self._pid = int(server.get_pid())
        self._url = database_url({"DATABASE_URL": server.get_uri()}, "jobs")
        self._admin = open_database(self._url).execution_options(isolation_level="AUTOCOMMIT")
        self._numbers = count()

    def fresh(self) -> URL:
        """An empty database."""
        name = f"bench{next(self._numbers)}"
        self._say(f"CREATE DATABASE {name}")
        return self._url.set(database=name)

    def with_fsync(self, is_on: bool) -> None:
        """Whether commits wait for the disk from now on."""
        self._say(f"ALTER SYSTEM SET fsync = {'on' if is_on else 'off'}")
        self._say("SELECT pg_reload_conf()")

    def transactions(self, url: URL) -> int:
        """How many have ended in this database; up to a second late."""
        with self._admin.connect() as connection:
            query = text("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = :name")
            return int(connection.execute(query, {"name": url.database}).scalar_one())

    def connections(self, url: URL) -> int:
        """How many there are to this database."""
        with self._admin.connect() as connection:
            query = text("SELECT count(*) FROM pg_stat_activity WHERE datname = :name")
            return int(connection.execute(query, {"name": url.database}).scalar_one())

    def cpu_sec(self) -> float:
        """Seconds of a core that the server has used, of connections that have ended."""
        return cpu_sec(self._pid, with_ended_children=True)

    def close(self) -> None:
        """Ends the connections."""
        self._admin.dispose()

    def _say(self, statement: str) -> None:
        with self._admin.connect() as connection:
            connection.execute(text(statement))


Store = SqliteStore | PostgresStore


@contextmanager
def stores(which: str, folder: Path) -> Iterator[list[Store]]:
    """Those of `which`: "sqlite", "postgres" or "both".

    Raises:
        ImportError: PostgreSQL comes with the packages of development, and those are not installed.
    """
    files: list[Store] = [SqliteStore(folder)] if which != "postgres" else []
    if which == "sqlite":
        yield files
        return
    from kitty_core.testing import running_postgres

    with running_postgres() as server:
        store = PostgresStore(server)
        try:
            yield [*files, store]
        finally:
            store.close()
