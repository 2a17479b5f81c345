"""Runs one command of the allow-list to its end. The only module here that starts processes.

Filled argv ──> workspace descriptor ──> home of its own ──> guard process ──> command
                                                            │ stdout, stderr: the first bytes kept, the rest counted
                                                            └ report: exit code, deadline, why it did not start

argv only, never a shell. The command gets a clean environment (no variable of the service: no secrets), an empty home
that goes away, a closed stdin, limits, and a deadline; `guard` says what happens to its processes.
"""

import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broker import guard, repository
from broker.account import Account
from broker.allowlist import Command, Filled
from broker.errors import GuardFailed
from broker.workspace import Workspaces, check_paths
from kitty_sandbox.guest import syscalls

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/proc", "/sys", "/dev", "/nix/store")
OWN_PROCESS = "/proc/self"
"""All that a command with a workspace sees of /proc: what lies there could have it show another process's arguments."""
GRACE_SEC = 2.0
"""Between SIGTERM and SIGKILL."""
GUARD_WITHIN_SEC = 10.0
"""The guard's own time on top, on a busy machine."""
REPORT_BYTES = 65536
LIMITS: Mapping[str, int] = {"memory": 4 << 30, "file_bytes": 64 << 20, "open_files": 256, "core": 0}
PROCESSES = 64
"""More than the user has already."""


@dataclass(frozen=True)
class Kept:
    """What came out of one stream."""

    text: str
    discarded: int
    """Bytes that came after those that are kept."""


@dataclass(frozen=True)
class Ending:
    """How a command ended."""

    exit_code: int | None
    """None: it was killed at its deadline, or never started. Negative: the signal that ended it."""
    timed_out: bool
    stdout: Kept
    stderr: Kept
    seconds: float
    problem: str
    """Why it could not be started; empty: it was."""


def search_path(first: str = "") -> str:
    """Where programs are looked for: `first`, the system's folders, that of our own interpreter (ruff, pytest)."""
    return ":".join(filter(None, [first, SYSTEM_PATH, str(Path(sys.executable).parent)]))


class Runner:
    """Starts commands, in the given workspaces and as the given account."""

    def __init__(self, workspaces: Workspaces, account: Account | None) -> None:
        self._workspaces = workspaces
        self._account = account
        self.landlock_abi = syscalls.landlock_abi()
        """0: reading outside the workspace is not stopped by the kernel."""

    async def run(self, command: Command, filled: Filled, timeout_sec: float) -> Ending:
        """Until the command ends or its time is over. Cancelling ends it with all its processes.

        Raises:
            BadArguments: the workspace, a path or the repository is refused; nothing was started.
            GuardFailed: the guard ended without a report.
        """
        opened = self._workspaces.opened(filled.workspace) if command.workspace else contextlib.nullcontext()
        with opened as folder:
            async with _home(self._account) as home:
                return await self._run(command, filled, timeout_sec, folder, home)

    async def _run(
        self, command: Command, filled: Filled, timeout_sec: float, folder: int | None, home: Path
    ) -> Ending:
        env = {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8", "HOME": str(home), "TMPDIR": str(home), **command.env}
        if folder is not None:
            check_paths(folder, filled.paths)
            env |= repository.prepare(folder, home / "repository") if command.repository else {}
        order = self._order(command, filled, timeout_sec, folder, env)
        return await self._guarded(order, command.output_kb * 1024, timeout_sec)

    def _order(
        self, command: Command, filled: Filled, timeout_sec: float, folder: int | None, env: Mapping[str, str]
    ) -> dict[str, Any]:
        program = os.path.dirname(os.path.realpath(str(command.executable)))
        system = [OWN_PROCESS if path == "/proc" and folder is not None else path for path in SYSTEM_FOLDERS]
        readable = [*system, *{sys.prefix, sys.base_prefix, program}, *([] if folder is None else ["."])]
        return {
            "argv": [str(command.executable), *filled.argv],
            "env": env,
            "cwd_fd": folder,
            "account": None if self._account is None else {"uid": self._account.uid, "gid": self._account.gid},
            "timeout_sec": timeout_sec,
            "grace_sec": GRACE_SEC,
            "limits": {**LIMITS, "cpu_sec": int(timeout_sec + GRACE_SEC) + 1},
            "processes": PROCESSES,
            "readable": readable if command.confined and self.landlock_abi else None,
        }

    async def _guarded(self, order: dict[str, Any], most_bytes: int, timeout_sec: float) -> Ending:
        started = time.perf_counter()
        async with _guard(order) as (process, report):
            stdin, out, err = _streams(process)
            stdin.write(json.dumps(order).encode() + b"\n")
            within = timeout_sec + GRACE_SEC + GUARD_WITHIN_SEC
            try:
                stdout, stderr, _ = await asyncio.wait_for(
                    asyncio.gather(_keep(out, most_bytes), _keep(err, most_bytes), process.wait()),
                    within,
                )
            except TimeoutError:
                raise GuardFailed(f"The guard did not end within {within:g} s.") from None
            told = os.read(report, REPORT_BYTES)
        if not told:
            raise GuardFailed(f"The guard ended without a report: {stderr.text[-500:]}")
        said = json.loads(told)
        has_ended = not said["timed_out"] and not said["problem"]
        return Ending(
            exit_code=said["exit_code"] if has_ended else None,
            timed_out=said["timed_out"],
            stdout=stdout,
            stderr=stderr,
            seconds=time.perf_counter() - started,
            problem=said["problem"],
        )


@asynccontextmanager
async def _guard(order: Mapping[str, Any]) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """The guard's process and the descriptor its report is read from. At the end of the block nothing is left of it."""
    report_end, report_start = os.pipe()
    passed = [report_start, *([] if order["cwd_fd"] is None else [order["cwd_fd"]])]
    argv = [sys.executable, "-I", "-S", "-B", str(guard.__file__), str(syscalls.__file__), str(report_start)]
    try:
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=passed,
                start_new_session=True,
                env={"LANG": "C.UTF-8"},
            )
        finally:
            os.close(report_start)
        try:
            yield process, report_end
        finally:
            await _end(process)
    finally:
        os.close(report_end)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Closing its stdin tells the guard to kill what it watches; a guard that does not end is killed itself."""
    stdin, out, err = _streams(process)
    stdin.close()
    drained = asyncio.gather(_keep(out, 0), _keep(err, 0), process.wait())
    try:
        await asyncio.wait_for(drained, GUARD_WITHIN_SEC)
    except TimeoutError:
        process.kill()
        await process.wait()


def _streams(
    process: asyncio.subprocess.Process,
) -> tuple[asyncio.StreamWriter, asyncio.StreamReader, asyncio.StreamReader]:
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise GuardFailed("The guard has no pipes.")
    return process.stdin, process.stdout, process.stderr


async def _keep(stream: asyncio.StreamReader, most_bytes: int) -> Kept:
    """Read to the end, whatever comes; keep the first `most_bytes`."""
    kept = bytearray()
    count = 0
    while piece := await stream.read(65536):
        kept += piece[: most_bytes - len(kept)]
        count += len(piece)
    return Kept(kept.decode("utf-8", "replace"), count - len(kept))


@asynccontextmanager
async def _home(account: Account | None) -> AsyncIterator[Path]:
    """An empty folder that only the command's user can enter, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="kitty-broker-"))
    try:
        if account is not None:
            os.chown(folder, account.uid, account.gid)
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder)
