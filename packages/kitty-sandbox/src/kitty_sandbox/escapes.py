"""The probe's programs: each tries to get out, and its test passes when it could not. Run as a guest, in the sandbox.

`escapes.json` beside it holds the facts (see `bait`). Where there are no namespaces (tier `landlock`) files of the host
can be asked about but not opened or changed, and processes of the host have numbers but take no signal.
"""

import contextlib
import ctypes
import importlib
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

_FACTS_FILE = Path(__file__).with_name("escapes.json")
FACTS = json.loads(_FACTS_FILE.read_text()) if _FACTS_FILE.exists() else {}
REFUSED = OSError
"""Not there, read-only or not permitted: any of them will do."""


def test_the_files_of_the_host_are_out_of_reach() -> None:
    for path in FACTS["hidden"]:
        with pytest.raises(REFUSED):
            os.close(os.open(path, os.O_RDONLY))
    if FACTS["namespaces"]:
        assert [path for path in FACTS["hidden"] if os.path.exists(path)] == []


def test_the_files_of_the_host_cannot_be_changed() -> None:
    path, own = FACTS["hidden"][0], os.path.join(tempfile.gettempdir(), "link")
    before = _changed(path)
    attempts: list[tuple[Callable[..., object], tuple[object, ...]]] = [
        (os.truncate, (path, 1)),
        (os.chmod, (path, 0o600)),
        (os.utime, (path,)),
        (os.setxattr, (path, "user.kitty", b"x")),
        (os.chown, (path, os.getuid(), os.getgid())),
        (os.link, (path, own)),
        (os.rename, (path, own)),
        (os.unlink, (path,)),
    ]
    for attempt, arguments in attempts:
        with contextlib.suppress(REFUSED):
            attempt(*arguments)
    assert before == _changed(path)


def _changed(path: str) -> int | None:
    """The kernel notes here each change of a file, of its content or otherwise; None where the file is not there."""
    return os.stat(path).st_ctime_ns if os.path.exists(path) else None


def test_only_tmp_can_be_written() -> None:
    tmp = tempfile.gettempdir()
    for folder in ("/", os.getcwd(), "/kitty", "/usr/lib", os.path.dirname(os.__file__), os.path.dirname(tmp)):
        with pytest.raises(REFUSED):
            Path(folder, "escape.txt").write_text("x")
    Path(tmp, "kept.txt").write_text("x")


def test_landlock_refuses_what_the_mounts_allow() -> None:
    if FACTS["landlock"]:
        with pytest.raises(PermissionError):
            Path("/dev/zero").write_text("x")
    Path("/dev/null").write_text("x")


def test_the_environment_is_ours() -> None:
    assert set(os.environ) - {"LC_CTYPE", "PWD", "PYTEST_CURRENT_TEST", "PYTEST_VERSION"} == set(FACTS["variables"])


def test_there_is_no_way_to_the_network() -> None:
    with pytest.raises(REFUSED):
        socket.create_connection(("127.0.0.1", FACTS["port"]), timeout=1)


def test_there_is_no_way_to_a_socket_of_the_host() -> None:
    with pytest.raises(REFUSED):
        socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b"x", FACTS["socket"])


def test_root_is_out_of_reach() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(0x10000000) != 0 or not FACTS["seccomp"]
    assert libc.mount(b"tmpfs", os.fsencode(tempfile.gettempdir()), b"tmpfs", 0, None) != 0


def test_other_processes_are_out_of_reach() -> None:
    for pid in FACTS["strangers"]:
        with pytest.raises(REFUSED):
            os.kill(pid, 0)
        with pytest.raises(REFUSED):
            resource.prlimit(pid, resource.RLIMIT_NOFILE)
        with pytest.raises(REFUSED):
            os.setpriority(os.PRIO_PROCESS, pid, 19)


def test_no_process_and_no_program_can_be_started() -> None:
    if FACTS["seccomp"]:
        with pytest.raises(REFUSED):
            os.fork()
    with pytest.raises(REFUSED):
        subprocess.run([sys.executable, "-c", ""], check=True)


def test_threads_work() -> None:
    done: list[int] = []
    thread = threading.Thread(target=done.append, args=(1,))
    thread.start()
    thread.join()
    assert done == [1]


def test_the_standard_library_is_there() -> None:
    for name in ("colorsys", "ctypes.util", "wave", "xml.dom.minidom"):  # none of them loaded before
        importlib.import_module(name)
