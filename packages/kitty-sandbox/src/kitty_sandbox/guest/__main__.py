"""`python -m guest CONTROL_FD SETTINGS`: the fork server. Trusted, single-threaded, without any run's data.

It prepares pytest once, says `ready` on the control socket, and then serves one request after the other:

    request: 4 descriptors (configuration, report, standard output, standard error)
    answer:  `started` with the pidfd of the run's first process, then `ended` with its exit code

Each run is a fork in namespaces of its own that gives up its power (`confine`) before the guest's code comes in.
SETTINGS is JSON, see `kitty_sandbox.place`. The configuration is JSON in a memory file, see `kitty_sandbox.launch`.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import site
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from . import confine, syscalls

Mode = Callable[[Mapping[str, Any], dict[str, Any], int], NoReturn]
"""Called with the settings, the configuration and the report's descriptor, in the fork, in its own namespaces."""


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    settings: dict[str, Any] = json.loads(sys.argv[2])
    syscalls.die_with_parent()
    _prepare_interpreter(settings)
    from . import prepared, together  # only now: pytest must be found by the new path

    for device in settings["devices"]:
        syscalls.bind_read_only(device)
    if settings["namespaces"]:
        syscalls.mount_tmpfs(settings["tmp"], "size=1m,mode=0700")
    pytest = prepared.PreparedPytest(settings["work"], settings["tmp"])
    modes: dict[str, Mode] = {"tests": functools.partial(together.run, pytest)}
    if settings["namespaces"]:
        syscalls.unmount(settings["tmp"])
    settings["filters"] = confine.filters()
    settings["seccomp"] = bool(settings["filters"])
    _say(control, "ready", python=platform.python_version())
    own = os.pidfd_open(os.getpid())
    while True:
        request, fds, _, _ = socket.recv_fds(control, 64, 4)
        if not request:
            return
        _serve(control, own, settings, fds, modes)


def _serve(
    control: socket.socket, own: int, settings: Mapping[str, Any], fds: list[int], modes: Mapping[str, Mode]
) -> None:
    if settings["namespaces"]:
        # One process can fork into many process trees: back to its own (twice without that is refused), then a new one.
        syscalls.set_namespace(own, syscalls.CLONE_NEWPID)
        syscalls.unshare(syscalls.CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        _be_the_run(settings, fds, modes)
    for fd in fds:
        os.close(fd)
    pidfd = os.pidfd_open(pid)
    socket.send_fds(control, [json.dumps({"kind": "started"}).encode()], [pidfd])
    os.close(pidfd)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    _say(control, "ended", code=code if code >= 0 else 128 - code)


def _be_the_run(settings: Mapping[str, Any], fds: list[int], modes: Mapping[str, Mode]) -> NoReturn:
    """The child: never returns, whatever happens."""
    exit_now = os._exit  # bound before the guest's code can put another in its place
    try:
        config_fd, report_fd, output, errors = fds
        os.dup2(output, 1)
        os.dup2(errors, 2)
        with open(config_fd, encoding="utf-8") as file:
            run = json.load(file)
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
