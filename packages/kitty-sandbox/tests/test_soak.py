"""Many runs: nothing is left over, nothing grows, nobody is lost. The long form: `benchmarks/sandbox_soak.py`."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from sandbox_soak import crowd, descendants_of, soak

import kitty_sandbox
from kitty_sandbox import BubblewrapSandbox, pool

RUNS = 200
CONCURRENT = 200


async def test_many_runs_in_a_row_leave_nothing_and_grow_nothing(monkeypatch):
    monkeypatch.setattr(pool, "RUNS_OF_ONE", 30)
    sandbox = BubblewrapSandbox()
    servers: set[int] = set()
    soaked = await soak(sandbox, RUNS, lambda: servers.update(sandbox.server_pids()))
    assert soaked.complaints() == []
    assert len(servers) > RUNS // 30, "worn fork servers must be replaced, and the replaced ones must be gone too"


async def test_two_hundred_requests_at_once_queue_and_none_is_lost(sandbox):
    crowded = await crowd(sandbox, CONCURRENT)
    assert crowded["answered_rightly"] == CONCURRENT


OWNER = """
import asyncio
from kitty_sandbox import BubblewrapSandbox, SandboxLimits, SandboxRun

def make_run(body):
    files = {"test_a.py": f"import time\\ndef test_a(): {body}\\n"}
    return SandboxRun(files, ("test_a.py",), SandboxLimits(timeout_sec=600))

async def main():
    sandbox = BubblewrapSandbox(workers=3)
    await asyncio.gather(*(sandbox.run(make_run("time.sleep(0.3)")) for _ in range(3)))
    sleeping = asyncio.create_task(sandbox.run(make_run("print('asleep', flush=True); time.sleep(600)")))
    await asyncio.sleep(0.5)
    print("ready", len(sandbox.server_pids()), flush=True)
    await sleeping

asyncio.run(main())
"""


def test_nothing_survives_a_killed_owner_by_two_seconds():
    """A run that sleeps and two fork servers that wait, all of them in sessions of their own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(kitty_sandbox.__file__).parents[1])}
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True, env=environment)
    with owner:
        assert owner.stdout.readline() == "ready 2\n"
        family = descendants_of(owner.pid)
        assert len(family) >= 7  # bubblewrap twice and the server, three times; the run
        owner.send_signal(signal.SIGKILL)
        owner.wait(5)
    deadline = time.monotonic() + 2
    while (alive := {pid for pid in family if is_alive(pid)}) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert alive == set()


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
