"""Mode `split`: the tests in one process, the program in another, only plain data between them.

    first process of the tree: pytest, the tests' text, the report      (never runs the program's code)
    its child, forked before the tests were read: the program           (never sees the tests or the report)

Both are confined like any run and share /tmp. What cannot be told apart this way is reported as `unfit`.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from . import confine, program, remote, reporter, syscalls
from .prepared import PreparedPytest
from .together import flush


def run(pytest: PreparedPytest, settings: Mapping[str, Any], config: dict[str, Any], report_fd: int) -> NoReturn:
    """Fork the program, then confine this process, read the tests, run them, report, leave."""
    exit_now = os._exit
    requests, to_program = os.pipe()
    from_program, answers = os.pipe()
    confine.place_files(settings, config["files"], config["limits"]["tmpfs_mb"])
    if os.fork() == 0:
        _be_the_program(settings, config, requests, answers)
    os.close(requests)
    os.close(answers)
    if program.read_message(from_program) != "apart":
        raise RuntimeError("the program's process did not start")
    later: dict[str, Any] = config["later"]()
    confine.place_files(settings, later["files"], None)
    confine.confine(settings, config, [report_fd, to_program, from_program])
    send = reporter.open_channel(report_fd, later["nonce"])
    line = remote.Line(to_program, from_program, functools.partial(remote.end_run, send))
    sys.meta_path.insert(0, remote.Finder(line, later["modules"], later["used"]))
    sys.path.insert(0, settings["work"])
    send("ready")
    code = pytest.run(later["tests"], later["control"], send, line)
    flush()
    send("end", rc=code)
    exit_now(code)


def _be_the_program(settings: Mapping[str, Any], config: Mapping[str, Any], requests: int, answers: int) -> NoReturn:
    exit_now: Callable[[int], NoReturn] = os._exit
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS)  # what the tests' side mounts from now on is not seen here
        confine.confine(settings, config, [requests, answers])
        program.write_message(answers, "apart")
        program.serve(settings["work"], requests, answers)
    finally:
        exit_now(71)
