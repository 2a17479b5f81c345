"""The coder-agent this command line starts when none is there, and leaves running for the next command.

lock → is one on record that fits and answers? ──yes──> use it
            │ no
            ├─ stop those that do not fit and are idle (they hold memory); leave the busy ones alone
            └─ start one → record it → wait until it answers
"""

import contextlib
import socket
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import filelock
import psutil  # type: ignore[import-untyped]  # it ships no types

from kitty_cli.client import ask_health
from kitty_cli.detached import end, let_go, process_of, start_detached
from kitty_cli.errors import NotConfigured
from kitty_cli.state import Resident, Wanted, log_file, read_residents, write_residents
from kitty_cli.tail import fresh, tail_of
from kitty_core.state import state_dir

DEFAULT_PORT = 8092
IDLE_STOP_SEC = "900"
POLL_SEC = 0.05
ANSWER_WITHIN_SEC = 60.0
STOP_WITHIN_SEC = 10.0
HUNG_AFTER_SEC = 5.0
MOST_OF_A_QUEUE = 100


def ensure_resident(env: Mapping[str, str], wanted: Wanted) -> Resident:
    """The running service for these settings, started if need be. Two callers at once start one.

    Raises:
        NotConfigured: it did not come up; the message ends with what it logged last.
    """
    with _locked():
        living = living_residents()
        fitting = [resident for resident in living if resident.wanted.fingerprint == wanted.fingerprint]
        others = [resident for resident in living if resident not in fitting]
        for resident in fitting:
            if _answers_in_time(resident):
                return resident
        kept = [resident for resident in others if _is_busy(resident)]
        for resident in [*fitting, *others]:
            if resident not in kept:
                _stop(resident)
        write_residents(kept)
        return _start(env, wanted, kept)


def living_residents() -> list[Resident]:
    """Those on record whose process runs."""
    return [resident for resident in read_residents() if _process_of(resident)]


def environment_of(resident: Resident) -> Mapping[str, str]:
    """What it was started with; empty where it has ended, or the system does not tell."""
    process = _process_of(resident)
    try:
        return process.environ() if process is not None else {}
    except psutil.Error:
        return {}


def stop_residents() -> list[Resident]:
    """Stops everything on record and returns what ran."""
    with _locked():
        stopped = living_residents()
        for resident in stopped:
            _stop(resident)
        write_residents([])
        return stopped


def stop_idle_residents() -> None:
    """Stops those that do nothing; a job that runs goes on."""
    with _locked():
        kept = []
        for resident in living_residents():
            if _is_busy(resident):
                kept.append(resident)
            else:
                _stop(resident)
        write_residents(kept)


def _locked() -> contextlib.AbstractContextManager[object]:
    lock = filelock.FileLock(state_dir() / "resident.lock", timeout=2 * ANSWER_WITHIN_SEC, poll_interval=POLL_SEC)
    try:
        return lock.acquire()
    except filelock.Timeout:
        raise NotConfigured(f"Another kitty-cli has held {lock.lock_file} for too long. Is it stuck?") from None


def _process_of(resident: Resident) -> psutil.Process | None:
    return process_of(resident.pid, resident.created)


def _is_busy(resident: Resident) -> bool:
    """Whether it has a job that runs or waits. None: it cannot tell just now, which happens to one that is busy."""
    health = ask_health(resident.base_url, HUNG_AFTER_SEC)
    return health is not None and any(health.get(name, 0) != 0 for name in ("jobs_running", "jobs_queued"))


def _stop(resident: Resident) -> None:
    end(resident.pid, resident.created, STOP_WITHIN_SEC)


def _answers_in_time(resident: Resident) -> bool:
    deadline = time.monotonic() + STOP_WITHIN_SEC
    while _process_of(resident):
        if ask_health(resident.base_url):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SEC)
    return False


def port_wanted(env: Mapping[str, str]) -> int:
    """CODER_PORT, or the usual one.

    Raises:
        NotConfigured: it is not a port.
    """
    text = env.get("CODER_PORT", "").strip() or str(DEFAULT_PORT)
    if not text.isdecimal() or int(text) > 65535:
        raise NotConfigured(f"CODER_PORT: {text!r} is not a port.")
    return int(text)


def _start(env: Mapping[str, str], wanted: Wanted, kept: list[Resident]) -> Resident:
    port = _free_port(port_wanted(env))
    log = fresh(log_file())
    before = log.stat().st_size
    process = start_detached("coder_agent.main", log, _environment_for(env, port, wanted))
    resident = Resident(
        pid=process.pid,
        created=psutil.Process(process.pid).create_time(),
        base_url=f"http://127.0.0.1:{port}",
        wanted=wanted,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_residents([*kept, resident])
    _wait_until_it_answers(process, resident, log, before)
    let_go(process)
    return resident


def _environment_for(env: Mapping[str, str], port: int, wanted: Wanted) -> dict[str, str]:
    """Jobs wait in a queue for this model: one that was begun here is not gone on with by a service with another."""
    queue = f"{wanted.kind} {wanted.model or wanted.fingerprint[:16]}"[-MOST_OF_A_QUEUE:]
    usual = {"KITTY_IDLE_STOP_SEC": IDLE_STOP_SEC, "JOBS_QUEUE": queue}
    chosen = {**usual, **env, "CODER_PORT": str(port), "KITTY_BIND": "127.0.0.1"}
    return chosen | ({"KITTY_MODEL": wanted.model} if wanted.model else {})


def _wait_until_it_answers(process: subprocess.Popen[bytes], resident: Resident, log: Path, before: int) -> None:
    deadline = time.monotonic() + ANSWER_WITHIN_SEC
    while ask_health(resident.base_url) is None:
        code = process.poll()
        if code is not None:
            raise NotConfigured(f"The coder-agent ended at its start (status {code}).{tail_of(log, before)}")
        if time.monotonic() > deadline:
            _stop(resident)
            raise NotConfigured(f"The coder-agent did not answer in {ANSWER_WITHIN_SEC:g} s.{tail_of(log, before)}")
        time.sleep(POLL_SEC)


def _free_port(wanted: int) -> int:
    """`wanted` when nobody listens there, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise NotConfigured("There is no free port on 127.0.0.1.")
