"""The one way to a database: a SQLite file per owner on a laptop, one PostgreSQL in production.

database_url() ─> open_database() ─> migrate()
                        └─> engine.begin()   for writers    reading(engine)   for readers: one consistent view

On SQLite a writer takes the lock when it begins (BEGIN IMMEDIATE), so that what it has read still holds when it writes.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.runtime.migration import MigrationStep
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from filelock import FileLock
from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from kitty_core.errors import ConfigurationError
from kitty_core.state import FOR_ONE_USER, state_dir

POSTGRES = "postgresql+psycopg"
DRIVERS = {"sqlite": "sqlite", "postgres": POSTGRES, "postgresql": POSTGRES, POSTGRES: POSTGRES}
LOCK_WITHIN_SEC = 5.0
CONNECT_WITHIN_SEC = 5
MIGRATED_WITHIN_SEC = 60
READS_ONLY = "kitty_reads_only"
LAST_USED = "kitty_last_used"
PINGED_AFTER_SEC = 1.0
ALEMBIC = threading.Lock()
"""`alembic.op` stands for one connection of the whole process."""


def database_url(env: Mapping[str, str], owner: str) -> URL:
    """`DATABASE_URL`, or the SQLite file of `owner` ("jobs", "audit", …) in the state directory.

    Raises:
        ConfigurationError: the variable is no address of a SQLite or PostgreSQL database.
    """
    given = env.get("DATABASE_URL", "")
    if not given:
        return URL.create("sqlite", database=str(state_dir() / f"{owner}.sqlite3"))
    try:
        url = make_url(given)
        return url.set(drivername=DRIVERS[url.drivername])
    except (ArgumentError, KeyError, ValueError):
        # The value may hold a password: it is not repeated.
        raise ConfigurationError("DATABASE_URL: want sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME.") from None


def open_database(url: URL, lock_within_sec: float = LOCK_WITHIN_SEC) -> Engine:
    """An engine for `url`; nothing is connected to yet. A writer waits `lock_within_sec` for a lock, then fails.

    A SQLite file that is not there is made when it is first needed, for this user alone.
    """
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, hide_parameters=True, connect_args={"timeout": lock_within_sec})
        event.listen(engine, "do_connect", _make_file)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    patience = {"connect_timeout": CONNECT_WITHIN_SEC, "tcp_user_timeout": 2000 * CONNECT_WITHIN_SEC}
    unsaid = {name: value for name, value in patience.items() if name not in url.query}
    engine = create_engine(url, hide_parameters=True, connect_args=unsaid)
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", partial(_ping_after_a_rest, engine.dialect))
    milliseconds = round(1000 * lock_within_sec)

    @event.listens_for(engine, "begin")
    def begin_postgres(connection: Connection) -> None:
        if connection.get_execution_options().get(READS_ONLY):
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        else:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE")
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds}")

    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that changes nothing and sees one moment of the database until it is closed."""
    with engine.connect().execution_options(**{READS_ONLY: True}) as connection, connection.begin():
        yield connection


def migrate(engine: Engine, migrations: str, owner: str) -> None:
    """Brings the tables of `owner` up to date with the Alembic revisions in the package `migrations`.

    All of it happens in one transaction, or nothing. Several processes may call it at once. The table
    `alembic_{owner}` says how far a database is.

    Raises:
        ConfigurationError: a newer program has made these tables.
        sqlalchemy.exc.DBAPIError, TimeoutError: not now.
    """
    with _alone(engine), as_file(files(migrations)) as folder, engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"kitty_{owner}"})
        _upgrade(connection, folder, owner)


def _upgrade(connection: Connection, folder: Path, owner: str) -> None:
    script = ScriptDirectory(folder, version_locations=[folder])

    def steps(current: tuple[str, ...], context: MigrationContext) -> list[MigrationStep]:
        try:
            wanted = list(script.iterate_revisions("head", current, implicit_base=True))
        except RevisionError as error:
            raise ConfigurationError(f"The tables of {owner!r} are newer than this program: {error}") from error
        return [MigrationStep.upgrade_from_script(script.revision_map, revision) for revision in reversed(wanted)]

    context = MigrationContext.configure(connection, opts={"version_table": f"alembic_{owner}", "fn": steps})
    with ALEMBIC, Operations.context(context):
        context.run_migrations()


def _alone(engine: Engine) -> AbstractContextManager[object]:
    """One process at a time gives a SQLite file its tables: turning WAL on does not wait for others."""
    file = engine.url.database
    if engine.dialect.name != "sqlite" or not file or file == ":memory:" or not Path(file).parent.is_dir():
        return nullcontext()  # a lock would make the folder, which may be a disk that is away
    return FileLock(f"{file}.migrating.lock", timeout=MIGRATED_WITHIN_SEC, mode=FOR_ONE_USER)


def _make_file(dialect: object, record: object, arguments: list[str], options: object) -> None:
    file = Path(arguments[0])
    if str(file) in (":memory:", ".") or file.exists():
        return
    with suppress(OSError):  # SQLite is about to meet the same obstacle, and says it in its own error
        file.touch(mode=FOR_ONE_USER)  # what SQLite puts beside it has the same mode


def _prepare_sqlite(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself
    with closing(connection.cursor()) as cursor:
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")


def _note_use(connection: object, record: ConnectionPoolEntry) -> None:
    record.info[LAST_USED] = time.monotonic()


def _ping_after_a_rest(dialect: Dialect, connection: Any, record: ConnectionPoolEntry, proxy: object) -> None:
    """A server that was restarted meanwhile costs no failed call. A ping is a transaction too, so not each time."""
    used_at = record.info.get(LAST_USED)
    if used_at is None or time.monotonic() - used_at < PINGED_AFTER_SEC:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        raise InvalidatePoolError("the server has closed its connections") from error


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get(READS_ONLY)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
