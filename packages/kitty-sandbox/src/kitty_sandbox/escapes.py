"""The probe's programs: each tries to get out, and its test passes when it could not. Run as a guest, in the sandbox.

`escapes.json` beside it says which files of the host must not be there and whether the seccomp filter is in force.
"""

import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

FACTS = json.loads(Path("/work/escapes.json").read_text()) if Path("/work/escapes.json").exists() else {}


def test_the_files_of_the_host_are_not_there() -> None:
    assert [path for path in FACTS["hidden"] if os.path.exists(path)] == []


def test_only_tmp_can_be_written() -> None:
    for folder in ("/", "/work", "/kitty", "/usr/lib", os.path.dirname(os.__file__)):
        with pytest.raises(OSError):  # noqa: PT011 - read-only or not permitted: either will do
            Path(folder, "escape.txt").write_text("x")
    Path("/tmp/kept.txt").write_text("x")


def test_landlock_refuses_what_the_mounts_allow() -> None:
    if FACTS["landlock"]:
        with pytest.raises(PermissionError):
            Path("/dev/zero").write_text("x")
    Path("/dev/null").write_text("x")


def test_the_environment_is_ours() -> None:
    assert set(os.environ) - {"LC_CTYPE", "PWD", "PYTEST_CURRENT_TEST", "PYTEST_VERSION"} == set(FACTS["variables"])


def test_there_is_no_way_to_the_network() -> None:
    with pytest.raises(OSError):  # noqa: PT011
        socket.create_connection(("127.0.0.1", FACTS["port"]), timeout=1)


def test_root_is_out_of_reach() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(0x10000000) != 0 or not FACTS["seccomp"]
    assert libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None) != 0


def test_no_process_and_no_program_can_be_started() -> None:
    if FACTS["seccomp"]:
        with pytest.raises(OSError):  # noqa: PT011
            os.fork()
    with pytest.raises(OSError):  # noqa: PT011
        subprocess.run([sys.executable, "-c", ""], check=True)


def test_threads_work() -> None:
    done: list[int] = []
    thread = threading.Thread(target=done.append, args=(1,))
    thread.start()
    thread.join()
    assert done == [1]
