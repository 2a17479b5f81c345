"""Addresses, engines and migrations on both databases."""

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from kitty_core.database import database_url, migrate, open_database, reading
from kitty_core.errors import ConfigurationError
from kitty_core.testing import running_postgres

WITHIN_SEC = 100
MIGRATIONS = "kitty_core.audit.migrations"
MIGRATES = """
import sys
from kitty_core.database import database_url, migrate, open_database
engine = open_database(database_url({"DATABASE_URL": sys.argv[1]}, "audit"))
print("ready", flush=True)
sys.stdin.readline()
migrate(engine, "kitty_core.audit.migrations", "audit")
engine.dispose()
"""


@pytest.fixture
def engine(address):
    engine = open_database(address)
    yield engine
    engine.dispose()


def test_without_a_setting_each_owner_has_a_file_for_this_user_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    url = database_url({"DATABASE_URL": ""}, "memory")
    assert url.database == str(tmp_path / "kitty" / "memory.sqlite3")
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
        modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "kitty").iterdir()}
    engine.dispose()
    assert modes == dict.fromkeys(("memory.sqlite3", "memory.sqlite3-wal", "memory.sqlite3-shm"), 0o600)


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("postgresql://u:p@box/kitty", "postgresql+psycopg"),
        ("postgres://u:p@box/kitty", "postgresql+psycopg"),
        ("postgresql+psycopg://u:p@box/kitty", "postgresql+psycopg"),
        ("sqlite:////data/kitty.sqlite3", "sqlite"),
    ],
)
def test_the_usual_addresses_are_understood(given, driver):
    assert database_url({"DATABASE_URL": given}, "audit").drivername == driver


@pytest.mark.parametrize("given", ["mysql://u:hidden@box/kitty", "hidden", "postgresql+asyncpg://u:hidden@b/k"])
def test_another_address_is_refused_and_its_password_not_repeated(given):
    with pytest.raises(ConfigurationError, match="DATABASE_URL") as caught:
        database_url({"DATABASE_URL": given}, "audit")
    assert "hidden" not in str(caught.value)


def test_a_file_is_not_made_where_its_folder_is_away(tmp_path):
    engine = open_database(database_url({"DATABASE_URL": f"sqlite:///{tmp_path}/away/x.sqlite3"}, "audit"))
    with pytest.raises(DBAPIError):
        migrate(engine, MIGRATIONS, "audit")
    assert list(tmp_path.iterdir()) == []


def test_migrations_begin_with_nothing_and_may_be_repeated(engine):
    migrate(engine, MIGRATIONS, "audit")
    assert {"tool_invocations", "audit_head", "invocation_prompts", "alembic_audit"} == set(
        inspect(engine).get_table_names()
    )
    migrate(engine, MIGRATIONS, "audit")
    with reading(engine) as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_audit")).scalars().all() == ["0001"]


def test_processes_that_migrate_at_once_do_it_once(engine, address, processes):
    name = address.render_as_string(hide_password=False)
    running = [processes(MIGRATES, name) for _ in range(3)]
    assert [process.stdout.readline() for process in running] == [b"ready\n"] * 3
    for process in running:
        process.stdin.write(b"go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=WITHIN_SEC)[1] for process in running] == [b""] * 3
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM audit_head")).scalar_one() == 1


def test_a_migration_that_fails_leaves_nothing_behind(engine, tmp_path, monkeypatch):
    package = tmp_path / "broken_migrations"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "r1.py").write_text(
        "from alembic import op\nrevision, down_revision = '1', None\n"
        "def upgrade():\n    op.execute('CREATE TABLE half (x INTEGER)')\n    op.execute('nonsense')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DBAPIError):
        migrate(engine, "broken_migrations", "broken")
    assert inspect(engine).get_table_names() == []


def test_a_database_of_a_newer_program_is_named_as_such(engine):
    migrate(engine, MIGRATIONS, "audit")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_audit SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="newer"):
        migrate(engine, MIGRATIONS, "audit")


def test_a_reader_sees_one_moment_while_others_write(engine):
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))

    def rows(connection):
        return connection.execute(text("SELECT count(*) FROM t")).scalar_one()

    with reading(engine) as connection:
        assert rows(connection) == 0
        with engine.begin() as writer:
            writer.execute(text("INSERT INTO t VALUES (1)"))
        assert rows(connection) == 0
    with reading(engine) as connection:
        assert rows(connection) == 1


def test_a_writer_that_waits_too_long_for_a_lock_gives_up(address):
    holder, waiting = open_database(address), open_database(address, lock_within_sec=0.1)
    with holder.begin() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    with holder.begin() as connection:
        connection.execute(text("INSERT INTO t VALUES (1)"))
        with pytest.raises(DBAPIError), waiting.begin() as other:
            other.execute(text("DROP TABLE t"))
    holder.dispose()
    waiting.dispose()


def test_a_connection_that_rested_is_asked_whether_its_server_was_restarted(monkeypatch):
    with running_postgres() as server:
        engine = open_database(database_url({"DATABASE_URL": server.get_uri()}, "audit"))
        pings = []
        ping = engine.dialect.do_ping
        monkeypatch.setattr(engine.dialect, "do_ping", lambda connection: pings.append(1) or ping(connection))
        for _ in range(3):
            assert one_of(engine) == 1
        assert not pings, "one that was just used is not asked"
        server.stop()
        server.start()
        monkeypatch.setattr("kitty_core.database.PINGED_AFTER_SEC", 0)
        assert one_of(engine) == 1
        assert len(pings) == 1
        engine.dispose()


def one_of(engine):
    with reading(engine) as connection:
        return connection.execute(text("SELECT 1")).scalar_one()
