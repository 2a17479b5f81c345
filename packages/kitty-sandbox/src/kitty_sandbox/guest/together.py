"""Mode `tests`: the tests and the program in one process, under pytest. The quickest; see `reporter` for its limits."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from . import confine, reporter
from .prepared import PreparedPytest


def run(pytest: PreparedPytest, settings: Mapping[str, Any], config: dict[str, Any], report_fd: int) -> NoReturn:
    """Confine this process, run the tests, report, leave."""
    confine.place_files(settings, config["files"], config["limits"]["tmpfs_mb"])
    confine.confine(settings, config, [report_fd])
    send = reporter.open_channel(report_fd, config["nonce"])
    tests, control = config["tests"], config["control"]
    config.clear()
    exit_now = os._exit
    sys.path.insert(0, settings["work"])
    send("ready")
    code = pytest.run(tests, control, send)
    flush()
    send("end", rc=code)
    exit_now(code)


def flush() -> None:
    """Write out what the program printed, if its streams still work."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
