"""Processes that outlive the command that started them: how they begin, whether they still run, how they end.

They run in the state directory, not in the caller's folder, in a session of their own: Ctrl-C is not for them.
"""

import contextlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types

from kitty_core.state import state_dir

PATHS = ("KITTY_MODEL_DIR", "SANDBOX_PY_PATH", "CODER_EVIDENCE_DIR", "CODER_CONVERSATIONS_DIR")
"""Variables that may hold a path relative to the caller's folder."""
NO_PATH = "off"


def with_absolute_paths(env: Mapping[str, str], folder: Path) -> dict[str, str]:
    """`env` as it holds in any folder; the caller's is `folder`."""
    values = {name: env.get(name, "").strip() for name in PATHS}
    located = {name: absolute(value, folder) for name, value in values.items() if value and value != NO_PATH}
    return {**env, **located}


def absolute(path: str, folder: Path) -> str:
    """`path` as it was meant in `folder`."""
    return str(folder / Path(path).expanduser())


def start_detached(
    module: str, log: Path, env: Mapping[str, str] | None = None, told: bytes = b""
) -> "subprocess.Popen[bytes]":
    """Starts `python -m module` with `told` on its stdin; what it says is added to `log`. `env`: None means ours."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=state_dir(),
            env=env,
        )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as stdin:  # it ended at once: whoever waits tells why
        stdin.write(told)
    return process


def let_go(process: "subprocess.Popen[bytes]") -> None:
    """It is not ours to wait for any more: without this, Popen warns that it still runs."""
    process.returncode = 0


def process_of(pid: int, created: float) -> psutil.Process | None:
    """The process with this number that began at `created`, or None when it ended: its number may have gone to another.

    Args:
        created: seconds since the epoch.
    """
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if abs(process.create_time() - created) < 1 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def end(pid: int, created: float, within_sec: float) -> None:
    """Ends that very process and returns when it is gone: SIGTERM, after `within_sec` SIGKILL."""
    process = process_of(pid, created)
    if process is None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        try:
            process.wait(within_sec)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(within_sec)
