"""Keys and pending calls in a database: the same on SQLite and on a real PostgreSQL."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import inspect, make_url

from gateway.confirmations import Confirmations, PendingCall
from gateway.database import MIGRATIONS, OWNER, open_keys
from gateway.errors import ConfirmationIsUsed, DatabaseIsAway
from gateway.key_store import KeyStore
from gateway.tables import metadata
from gateway.testing import Clock
from kitty_core.confirmation import Approval
from kitty_core.database import migrate, open_database

CALL = PendingCall("disk.wipe", {"path": "/a\x00b\ud800"}, "0" * 64, "ann", "c1", "Confirm: proceed", "high")


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request, tmp_path):
    """A migrated database; on PostgreSQL its tables are emptied first."""
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'g.sqlite3'}" if is_sqlite else request.getfixturevalue("postgres").get_uri()
    engine, _ = open_keys({"DATABASE_URL": url})
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
    yield engine
    engine.dispose()


def test_the_migrations_make_exactly_the_tables_that_are_used(engine):
    found = inspect(engine)
    for table in metadata.sorted_tables:
        columns = {column["name"]: column["nullable"] for column in found.get_columns(table.name)}
        assert columns == {column.name: column.nullable for column in table.columns}
    migrate(engine, MIGRATIONS, OWNER)  # a second time changes nothing


def test_of_racing_takes_one_gets_the_call(engine):
    store = Confirmations(engine, Clock(), 300)
    call = store.keep(CALL)
    together = threading.Barrier(6)

    def take(number):
        together.wait(10)
        try:
            store.take(call, "confirmed" if number % 2 else "cancelled")
        except ConfirmationIsUsed:
            return 0
        return 1

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(take, range(6))) == 1
    found = store.find(call.id)
    assert found.state in ("confirmed", "cancelled")
    assert found.arguments == {}


def test_arguments_come_back_exactly(engine):
    store = Confirmations(engine, Clock(), 300)
    assert store.find(store.keep(CALL).id).arguments == CALL.arguments


def test_an_approval_is_used_once_and_a_refused_take_leaves_the_call_waiting(engine):
    store = Confirmations(engine, Clock(), 300)
    first, second = store.keep(CALL), store.keep(CALL)
    approval = Approval("p", "disk.wipe", "0" * 64, "eve", "c1", datetime(2030, 1, 1, tzinfo=UTC))
    store.take(first, "confirmed", approval)
    with pytest.raises(ConfirmationIsUsed):
        store.take(second, "confirmed", approval)
    assert [call.id for call in store.waiting("ann")] == [second.id]


def test_a_call_expires_once_and_can_then_not_be_taken(engine):
    clock = Clock()
    store = Confirmations(engine, clock, 300)
    call = store.keep(CALL)
    clock.now += 300
    with pytest.raises(ConfirmationIsUsed):
        store.take(call, "confirmed")
    with ThreadPoolExecutor(4) as threads:
        ended = [one.id for found in threads.map(lambda _: store.expire(), range(4)) for one in found]
    assert ended == [call.id]


def test_a_key_is_found_until_it_is_revoked(engine):
    keys = KeyStore(engine, Clock())
    assert keys.has_any() is False
    key, text = keys.create("ann", "user")
    assert keys.find(text).user_id == "ann"
    assert keys.find(text + "x") is None
    assert keys.has_any() is True
    assert keys.revoke(key.id) is True
    assert keys.find(text) is None
    assert keys.has_any() is False


def test_while_the_database_is_away_keys_that_were_right_stay_right_and_others_are_no_answer(tmp_path):
    folder = tmp_path / "db"
    folder.mkdir()
    engine, keys = open_keys({"DATABASE_URL": f"sqlite:///{folder / 'g.sqlite3'}"})
    seen, unseen = keys.create("ann", "user")[1], keys.create("bob", "user")[1]
    assert keys.find(seen) is not None
    engine.dispose()
    folder.rename(tmp_path / "gone")
    away = open_database(make_url(f"sqlite:///{folder / 'g.sqlite3'}"))
    keys._engine = away  # as after a restart of the database: the pool has no open connection
    assert keys.find(seen).user_id == "ann"
    with pytest.raises(DatabaseIsAway):
        keys.find(unseen)
    with pytest.raises(DatabaseIsAway):
        Confirmations(away, Clock(), 300).keep(CALL)
    away.dispose()
