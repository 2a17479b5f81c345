"""A trail that is opened while the program is at work, and the module that does not import databases before that."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kitty_core.audit import AuditSpoolFailed, AuditUnavailable, SpooledAuditLog, open_audit
from kitty_core.audit.late import LateAuditLog
from kitty_core.errors import ConfigurationError
from kitty_core.testing import MemoryAuditLog

WITHIN_SEC = 30
WRITES = """
import os, sys
from kitty_core.audit import Invocation, open_audit
trail = open_audit(os.environ)
def write(numbers):
    for number in numbers:
        trail.append(Invocation(f"{sys.argv[1]}{number}", "coding.generate", "local", "allowed", "ok"))
write(range(10))
assert trail.waiting >= 10
print("spooled", flush=True)
sys.stdin.readline()
write(range(10, 20))
trail.drain()
trail.close()
"""


def test_rows_that_come_while_it_is_opened_are_written_when_it_is_open(tmp_path, make_invocation):
    gate, memory = threading.Event(), MemoryAuditLog()

    def open_trail():
        assert gate.wait(WITHIN_SEC)
        return SpooledAuditLog(memory, tmp_path)

    late = LateAuditLog(open_trail)
    late.begin()
    late.drain()
    assert late.waiting == 0
    with ThreadPoolExecutor(3) as threads:
        handed_in = [threads.submit(late.append, make_invocation()) for _ in range(3)]
        assert memory.rows == []
        gate.set()
        for row in handed_in:
            row.result(WITHIN_SEC)
    assert len(memory.rows) == 3


async def test_rows_that_wait_are_written_by_drain(tmp_path, make_invocation):
    away = [True]

    def fail():
        if away[0]:
            raise AuditUnavailable

    memory = MemoryAuditLog(fails=fail)
    late = LateAuditLog(lambda: SpooledAuditLog(memory, tmp_path))
    late.begin()
    await late.opened()
    late.append(make_invocation())
    assert late.waiting == 1
    away[0] = False
    late.drain()
    assert (late.waiting, len(memory.rows)) == (0, 1)
    late.close()


@pytest.mark.parametrize(
    ("failure", "told"), [(ConfigurationError("AUDIT_KEY"), ConfigurationError), (OSError("disk"), AuditSpoolFailed)]
)
async def test_what_is_wrong_is_told_to_who_waits_and_to_who_hands_in(failure, told, make_invocation):
    def open_trail():
        raise failure

    late = LateAuditLog(open_trail)
    late.begin()
    with pytest.raises(type(failure)):
        await late.opened()
    with pytest.raises(told):
        late.append(make_invocation())
    assert late.waiting == 0
    late.close()


def test_no_database_is_imported_before_it_is_needed():
    program = (
        "import sys, kitty_core.audit, kitty_core.audit.late, kitty_core.testing\n"
        "assert not {'sqlalchemy', 'alembic', 'psycopg'} & set(sys.modules)\n"
        "kitty_core.audit.open_audit\n"
        "assert 'sqlalchemy' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=WITHIN_SEC)


def test_two_processes_share_a_spool_while_the_database_is_away_and_after_that(processes, tmp_path, monkeypatch):
    """One writes to the spool while the other drains it: each row is in the chain once."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'disk' / 'audit.sqlite3'}")
    running = [processes(WRITES, name) for name in ("a", "b")]
    for process in running:
        assert b"spooled\n" in iter(process.stdout.readline, b"")
    (tmp_path / "disk").mkdir()
    for process in running:
        _, said = process.communicate(b"go\n", timeout=WITHIN_SEC)
        assert b"Traceback" not in said, said.decode()
        assert process.returncode == 0
    trail = open_audit({"DATABASE_URL": f"sqlite:///{tmp_path / 'disk' / 'audit.sqlite3'}"})
    trail.drain()
    found = trail.verify()
    ids = {entry.columns["request_id"] for entry in trail.entries()}
    trail.close()
    assert (found.whole, found.rows, found.notes) == (True, 40, ())
    assert ids == {f"{name}{number}" for name in "ab" for number in range(20)}
