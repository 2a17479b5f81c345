"""`python -m guest CONFIG_FD REPORT_FD`: read the run, confine, collect and run the tests, report, leave.

The configuration is JSON in a memory file: nonce, files, tests, control, limits, uid, landlock, paths, site_dirs.
"""

from __future__ import annotations

import json
import os
import platform
import site
import sys
from typing import Any

from . import confine as confinement

PYTEST_ARGUMENTS = (
    "-q", "--tb=short", "--no-header", "--color=no", "-o", "console_output_style=classic",
    "--noconftest", "-c", "/dev/null", "--rootdir", "/work", "--confcutdir", "/work", "--import-mode=importlib",
    "-p", "no:cacheprovider", "-p", "no:unraisableexception", "-p", "no:threadexception",
    "-p", "no:junitxml", "-p", "no:pastebin", "-p", "no:doctest",
)  # fmt: skip


def main() -> None:
    config_fd, report_fd = int(sys.argv[1]), int(sys.argv[2])
    with open(config_fd, encoding="utf-8") as file:
        config = json.load(file)
    filtered = confinement.confine(config, report_fd)
    _prepare_interpreter(config)
    import pytest  # only now: it must be found by the new path, and load under the limits and as the new user

    from . import reporter

    send = reporter.open_channel(report_fd, config["nonce"])
    plugin = reporter.Reporter(send, config["control"])
    exit_now = os._exit
    arguments = [*PYTEST_ARGUMENTS, *config["tests"], config["control"]]
    config.clear()
    send("ready", pytest=pytest.__version__, python=platform.python_version(), seccomp=filtered)
    sys.path.insert(0, confinement.WORK)
    try:
        code = int(pytest.main(arguments, plugins=[plugin]))
    except BaseException as error:  # noqa: BLE001 - whatever the guest threw past pytest is its result
        send("aborted", id=plugin.current, **reporter.describe(error))
        code = 1
    _flush()
    send("end", rc=code)
    exit_now(code)


def _prepare_interpreter(config: dict[str, Any]) -> None:
    """`-S` left out what `site` does: add the builtins it brings, and only the folders we name."""
    site.setquit()
    site.sethelper()
    sys.path[:] = [path for path in sys.path if path not in ("", "/kitty")]
    sys.path += config["paths"]
    for folder in config["site_dirs"]:
        site.addsitedir(folder)
    sys.dont_write_bytecode = True
    sys.argv[:] = ["pytest"]
    os.chdir(confinement.WORK)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue


if __name__ == "__main__":
    main()
