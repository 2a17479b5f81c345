"""Rows that wait while the database is away: none is lost, none is doubled, the order stays."""

import signal
import sqlite3
import threading
from pathlib import Path

import pytest

from kitty_core.audit import AuditRowRefused, AuditSpoolFailed, AuditUnavailable, SpooledAuditLog
from kitty_core.testing import MemoryAuditLog

WITHIN_SEC = 100
DRAINS = """
import sys
from pathlib import Path
from kitty_core.audit import SpooledAuditLog, SqlAuditLog
from kitty_core.database import database_url, open_database
address, head_file, folder = sys.argv[1:]
engine = open_database(database_url({"DATABASE_URL": address}, "audit"))
log = SpooledAuditLog(SqlAuditLog(engine, b"k" * 32, Path(head_file)), Path(folder))
print("ready", flush=True)
while log.waiting:
    log.drain()
engine.dispose()
"""


class Away:
    """A switch for a database that can be reached or not."""

    def __init__(self, raises=AuditUnavailable):
        self.away = True
        self.raises = raises

    def __call__(self):
        if self.away:
            raise self.raises


@pytest.fixture
def memory():
    away = Away()
    return MemoryAuditLog(fails=away), away


def spooled(log, folder, **options):
    return SpooledAuditLog(log, folder / "spool", **{"retry_after_sec": 0} | options)


def names(rows):
    return [row.columns["request_id"] for row in rows]


def test_a_row_waits_while_the_database_is_away_and_is_written_before_later_ones(memory, tmp_path, make_invocation):
    log, away = memory
    audit = spooled(log, tmp_path)
    for number in range(3):
        audit.append(make_invocation(request_id=str(number)))
    assert (audit.waiting, log.rows) == (3, [])
    away.away = False
    audit.append(make_invocation(request_id="3"))
    assert (audit.waiting, names(log.rows)) == (0, ["0", "1", "2", "3"])
    assert log.verify().whole


def test_rows_that_wait_are_there_after_a_restart_and_for_this_user_alone(memory, tmp_path, make_invocation):
    log, away = memory
    row = make_invocation(error="it's “late”")
    spooled(log, tmp_path).append(row)
    [file] = (tmp_path / "spool").glob("*.json")
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    away.away = False
    later = spooled(log, tmp_path)
    assert (later.waiting, later.drain(), later.waiting) == (1, 1, 0)
    assert log.rows[0].columns["error"] == row.error


def test_after_a_failure_the_database_is_left_alone_for_a_while_but_not_by_drain(memory, tmp_path, make_invocation):
    log, away = memory
    audit = spooled(log, tmp_path, retry_after_sec=3600)
    audit.append(make_invocation(request_id="0"))
    away.away = False
    audit.append(make_invocation(request_id="1"))
    assert audit.waiting == 2
    assert audit.drain() == 2
    audit.append(make_invocation(request_id="2"))
    assert (audit.waiting, names(log.rows)) == (0, ["0", "1", "2"])


def test_a_row_whose_file_outlived_its_writing_is_not_doubled(memory, tmp_path, make_invocation):
    log, away = memory
    row = make_invocation()
    audit = spooled(log, tmp_path)
    audit.append(row)
    away.away = False
    log.append(row)  # as after a crash between the row and the removal of its file
    assert (audit.drain(), audit.waiting, len(log.rows)) == (1, 0, 1)


def test_no_prompt_gets_into_the_spool_unless_prompts_are_stored(memory, tmp_path, make_invocation):
    log, away = memory
    spooled(log, tmp_path).append(make_invocation(), "the secret prompt")
    spooled(log, tmp_path / "kept", store_prompts=True).append(make_invocation(), "the stored prompt")
    assert "secret prompt" not in next((tmp_path / "spool").glob("*.json")).read_text()
    away.away = False
    spooled(log, tmp_path).drain()
    spooled(log, tmp_path / "kept", store_prompts=True).drain()
    assert list(log.prompts.values()) == ["the stored prompt"]


def test_what_can_never_be_written_is_set_aside_and_stops_no_other(tmp_path, make_invocation):
    refuses = Away(AuditRowRefused)
    log = MemoryAuditLog(fails=refuses)
    audit = spooled(log, tmp_path)
    away = MemoryAuditLog(fails=Away())
    waiting = SpooledAuditLog(away, tmp_path / "spool")
    waiting.append(make_invocation(request_id="bad"))
    (tmp_path / "spool" / "000000000000002-torn.json").write_text('{"row": {"id"')
    assert (audit.drain(), audit.waiting) == (2, 0)
    assert len(list((tmp_path / "spool" / "refused").iterdir())) == 2
    refuses.away = False
    audit.append(make_invocation())
    assert len(log.rows) == 1


def test_a_row_that_is_refused_when_it_is_handed_in_is_an_error(tmp_path, make_invocation):
    audit = spooled(MemoryAuditLog(fails=Away(AuditRowRefused)), tmp_path)
    with pytest.raises(AuditRowRefused):
        audit.append(make_invocation())
    assert audit.waiting == 0


def test_a_row_that_nobody_takes_is_an_error_with_a_name(memory, tmp_path, make_invocation):
    log, away = memory
    (tmp_path / "spool").write_text("a file where the folder should be")
    audit = spooled(log, tmp_path)
    with pytest.raises(AuditSpoolFailed, match="lost"):
        audit.append(make_invocation())
    away.away = False
    audit.append(make_invocation())
    assert len(log.rows) == 1


def test_a_full_disk_is_an_error_and_leaves_no_half_row(memory, tmp_path, make_invocation, processes):
    spooled(memory[0], tmp_path).append(make_invocation(request_id="0"))
    program = """
import resource, signal, sys
from pathlib import Path
from kitty_core.audit import AuditSpoolFailed, Invocation
from kitty_core.audit.spool import Spool
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))  # as a disk with room for 100 bytes more
try:
    Spool(Path(sys.argv[1])).put(Invocation("1", "t", "u", "allowed"), None)
except AuditSpoolFailed as error:
    print(error)
"""
    out, err = processes(program, tmp_path / "spool").communicate(timeout=WITHIN_SEC)
    assert (out.decode(), err) == (f"{AuditSpoolFailed.__doc__} (File too large)\n", b"")
    assert len(list((tmp_path / "spool").iterdir())) == 1  # the row from before


def test_while_another_process_drains_a_row_waits_behind_those_that_wait(memory, tmp_path, make_invocation):
    log, away = memory
    audit = spooled(log, tmp_path)
    audit.append(make_invocation(request_id="0"))
    away.away = False
    inside, go_on = threading.Event(), threading.Event()

    def slow():
        inside.set()
        assert go_on.wait(WITHIN_SEC)

    other = spooled(MemoryAuditLog(fails=slow), tmp_path)
    draining = threading.Thread(target=other.drain)
    draining.start()
    assert inside.wait(WITHIN_SEC)
    audit.append(make_invocation(request_id="1"))
    assert (audit.drain(), audit.waiting, log.rows) == (0, 2, [])
    go_on.set()
    draining.join(WITHIN_SEC)
    assert names(other._log.rows) == ["0", "1"]


def test_an_append_writes_only_so_many_rows_for_others(memory, tmp_path, make_invocation):
    log, away = memory
    audit = spooled(log, tmp_path)
    for number in range(120):
        audit.append(make_invocation(request_id=str(number)))
    away.away = False
    audit.append(make_invocation(request_id="120"))
    assert (len(log.rows), audit.waiting) == (100, 21)
    assert audit.drain() == 21
    assert names(log.rows) == [str(number) for number in range(121)]


def fill(trail, count, make_invocation):
    """A spool with so many rows for `trail`."""
    audit = SpooledAuditLog(MemoryAuditLog(fails=Away()), trail.folder / "spool", retry_after_sec=3600)
    rows = [make_invocation(request_id=str(number)) for number in range(count)]
    for row in rows:
        audit.append(row)
    return [row.id for row in rows]


def test_two_processes_that_drain_one_spool_write_each_row_once_and_in_order(trail, processes, make_invocation):
    ids = fill(trail, 40, make_invocation)
    arguments = (trail.address, trail.folder / "head.json", trail.folder / "spool")
    running = [processes(DRAINS, *arguments) for _ in range(2)]
    assert [process.communicate(timeout=WITHIN_SEC)[1] for process in running] == [b"", b""]
    assert trail.column("id") == ids
    assert trail.log.verify().whole


def test_a_process_killed_while_it_drains_loses_and_doubles_nothing(trail, processes, make_invocation):
    ids = fill(trail, 60, make_invocation)
    trail.log.prepare()
    arguments = (trail.address, trail.folder / "head.json", trail.folder / "spool")
    for until in (1, 12, 24):
        process = processes(DRAINS, *arguments)
        assert process.stdout.readline() == b"ready\n"
        while process.poll() is None and trail.log.head().count < until:
            pass
        process.send_signal(signal.SIGKILL)
        process.wait(WITHIN_SEC)
    assert trail.log.head().count < 60  # it was in the middle
    audit = spooled(trail.log, trail.folder)
    audit.drain()
    assert (audit.waiting, trail.column("id")) == (0, ids)
    assert trail.log.verify().whole


def test_a_stopped_postgresql_costs_no_row(own_postgres, tmp_path, make_invocation):
    from kitty_core.audit import SqlAuditLog
    from kitty_core.database import database_url, open_database

    engine = open_database(database_url({"DATABASE_URL": own_postgres.get_uri()}, "audit"))
    log = SqlAuditLog(engine, b"k" * 32, tmp_path / "head.json")
    audit = spooled(log, tmp_path)
    audit.append(make_invocation(request_id="0"))
    own_postgres.stop()
    for number in (1, 2):
        audit.append(make_invocation(request_id=str(number)))
    assert audit.waiting == 2
    with pytest.raises(AuditUnavailable):
        audit.entries()
    assert audit.drain() == 0
    own_postgres.start()
    assert audit.drain() == 2
    audit.append(make_invocation(request_id="3"))
    assert names(audit.entries()) == ["3", "2", "1", "0"]
    assert (audit.verify().whole, audit.waiting, audit.head().count) == (True, 0, 4)
    audit.close()


def test_a_database_that_is_not_there_at_the_start_gets_its_tables_later(tmp_path, make_invocation):
    from kitty_core.audit import SqlAuditLog
    from kitty_core.database import database_url, open_database

    folder = tmp_path / "disk"
    url = database_url({"DATABASE_URL": f"sqlite:///{folder / 'audit.sqlite3'}"}, "audit")
    log = SqlAuditLog(open_database(url), b"k" * 32, tmp_path / "head.json")
    audit = spooled(log, tmp_path)
    audit.append(make_invocation(request_id="0"))
    assert audit.waiting == 1
    folder.mkdir()
    audit.append(make_invocation(request_id="1"))
    assert (audit.waiting, names(audit.entries()), audit.verify().whole) == (0, ["1", "0"], True)
    audit.close()


def test_a_sqlite_file_that_another_program_holds_too_long_costs_no_row(tmp_path, make_invocation):
    from kitty_core.audit import SqlAuditLog
    from kitty_core.database import database_url, open_database

    file = Path(tmp_path / "audit.sqlite3")
    engine = open_database(database_url({"DATABASE_URL": f"sqlite:///{file}"}, "audit"), lock_within_sec=0.1)
    audit = spooled(SqlAuditLog(engine, b"k" * 32, tmp_path / "head.json"), tmp_path)
    audit.append(make_invocation(request_id="0"))
    holder = sqlite3.connect(file)
    holder.execute("BEGIN EXCLUSIVE")
    audit.append(make_invocation(request_id="1"))
    assert audit.waiting == 1
    holder.rollback()
    holder.close()
    audit.append(make_invocation(request_id="2"))
    assert (audit.waiting, names(audit.entries())) == (0, ["2", "1", "0"])
    audit.close()


def test_a_postgresql_lock_that_is_held_too_long_costs_no_row(postgres_address, tmp_path, make_invocation):
    from sqlalchemy import text

    from kitty_core.audit import SqlAuditLog
    from kitty_core.database import open_database

    engine = open_database(postgres_address, lock_within_sec=0.1)
    audit = spooled(SqlAuditLog(engine, b"k" * 32, tmp_path / "head.json"), tmp_path)
    audit.append(make_invocation(request_id="0"))
    with engine.begin() as holder:
        holder.execute(text("SELECT * FROM audit_head FOR UPDATE"))
        audit.append(make_invocation(request_id="1"))
        assert audit.waiting == 1
    assert (audit.drain(), names(audit.entries()), audit.verify().whole) == (1, ["1", "0"], True)
    audit.close()
