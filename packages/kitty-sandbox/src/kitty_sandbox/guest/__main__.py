"""`python -m guest CONTROL_FD SETTINGS`: the fork server. Trusted, single-threaded, without any run's data.

It prepares pytest once, says `ready` on the control socket, and then serves one request after the other:

    request: the most that may be written, and 4 descriptors (configuration, report, standard output, standard error);
             with a cgroup for the run a fifth, its list of processes
    answer:  `started` with the pidfd of the run's first process, then `ended` with its exit code

Each run is a fork in namespaces of its own that gives up its power (`confine`) before the guest's code comes in.
SETTINGS is JSON, see `kitty_sandbox.place`. The configuration is JSON in a memory file, see `kitty_sandbox.launch`.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import signal
import site
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from . import confine, folders, syscalls

HEAD = 10
"""Digits at the start of a configuration: the size of its first part. The second is read when it is wanted."""
Mode = Callable[[Mapping[str, Any], dict[str, Any], int], NoReturn]
"""Called with the settings, the configuration and the report's descriptor, in the fork, in its own namespaces."""


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    settings: dict[str, Any] = json.loads(sys.argv[2])
    os.umask(0o022)
    if "capabilities" not in settings["without"]:
        syscalls.drop_bounding_set()  # here, once: a run has no right to it any more when it has changed its user
    if settings["private"] is None:
        syscalls.die_with_parent()
        _serve_all(control, settings)
        return
    # Nobody else would remove the folder when the agent is killed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    syscalls.die_with_parent(signal.SIGTERM)
    try:
        _serve_all(control, settings)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        folders.remove(settings["private"])


def _serve_all(control: socket.socket, settings: dict[str, Any]) -> None:
    _prepare_interpreter(settings)
    from . import cells, prepared, split, together  # only now: pytest must be found by the new path

    for device in settings["devices"]:
        syscalls.bind_read_only(device)
    if settings["namespaces"]:
        syscalls.mount_tmpfs(settings["tmp"], "size=1m,mode=0700")
    pytest = prepared.PreparedPytest(settings["work"], settings["tmp"])
    modes: dict[str, Mode] = {
        "tests": functools.partial(together.run, pytest),
        "split": functools.partial(split.run, pytest),
        "cells": cells.run,
    }
    if settings["namespaces"]:
        syscalls.unmount(settings["tmp"])
    settings["filters"] = confine.filters()
    settings["seccomp"] = bool(settings["filters"])
    settings["server"] = os.getpid()
    _say(control, "ready", python=platform.python_version())
    own = os.pidfd_open(os.getpid())
    while True:
        request, fds, _, _ = socket.recv_fds(control, 64, 5)
        if not request:
            return
        _serve(control, own, settings, json.loads(request)["tmpfs_mb"], fds, modes)


def _serve(
    control: socket.socket,
    own: int,
    settings: Mapping[str, Any],
    tmpfs_mb: int,
    fds: list[int],
    modes: Mapping[str, Mode],
) -> None:
    if settings["namespaces"] and "processes" not in settings["without"]:
        # One process can fork into many process trees: back to its own (twice without that is refused), then a new one.
        syscalls.set_namespace(own, syscalls.CLONE_NEWPID)
        syscalls.unshare(syscalls.CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        _be_the_run(settings, fds, modes)
    pidfd = os.pidfd_open(pid)
    socket.send_fds(control, [json.dumps({"kind": "started"}).encode()], [pidfd])
    if settings["private"] is not None:
        folders.watch(pidfd, control.fileno(), settings["tmp"], tmpfs_mb << 20, fds[3])
    for fd in (pidfd, *fds):
        os.close(fd)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if settings["private"] is not None:
        folders.empty(settings["work"])
        folders.empty(settings["tmp"])
    _say(control, "ended", code=code if code >= 0 else 128 - code)


def _read(fd: int, start: int, size: int) -> bytes:
    data = b""
    while len(data) < size and (chunk := os.pread(fd, size - len(data), start + len(data))):
        data += chunk
    return data


def _be_the_run(settings: Mapping[str, Any], fds: list[int], modes: Mapping[str, Mode]) -> NoReturn:
    """The child: never returns, whatever happens."""
    exit_now = os._exit  # bound before the guest's code can put another in its place
    try:
        config_fd, report_fd, output, errors, *fence = fds
        for fd in fence:
            os.write(fd, b"0")
        os.dup2(output, 1)
        os.dup2(errors, 2)
        size = int(os.pread(config_fd, HEAD, 0))
        run = json.loads(_read(config_fd, HEAD, size))
        run["later"] = lambda: json.loads(_read(config_fd, HEAD + size, os.fstat(config_fd).st_size))
        confine.enter_namespaces(settings)
        modes[run["mode"]](settings, run, report_fd)
    except BaseException:  # noqa: BLE001 - told on standard error; without a first record it is our failure
        traceback.print_exc()
    finally:
        exit_now(70)


def _prepare_interpreter(settings: Mapping[str, Any]) -> None:
    """`-S` left out what `site` does: add the builtins it brings, and only the folders we name."""
    site.setquit()
    site.sethelper()
    sys.path[:] = [path for path in sys.path if path not in ("", os.getcwd())]
    sys.path += settings["paths"]
    for folder in settings["site_dirs"]:
        site.addsitedir(folder)
    sys.dont_write_bytecode = True
    sys.argv[:] = ["pytest"]
    for stream in (sys.stdout, sys.stderr):
        # A line is seen when it ends, even of a program that is killed; and no character is an error.
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]


def _say(control: socket.socket, kind: str, **fields: Any) -> None:
    control.send(json.dumps({"kind": kind, **fields}).encode())


if __name__ == "__main__":
    main()
