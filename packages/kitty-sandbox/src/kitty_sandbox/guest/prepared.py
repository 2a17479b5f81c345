"""pytest, made ready before the fork: configured, with a session and its fixtures; a run only collects and runs.

Over 90 % of a bare `python -m pytest` is the start of the interpreter and of pytest; a prepared one pays it once.
"""

from __future__ import annotations

import gc
import importlib
import os
import shutil
import sys
import tempfile

import pytest
from _pytest.config import Config, _prepareconfig
from _pytest.main import Session

from . import reporter, syscalls

ARGUMENTS = (
    "-q", "--tb=no", "--no-header", "--color=no", "--capture=no",
    "--noconftest", "-c", "/dev/null", "--import-mode=importlib",
    "-p", "no:cacheprovider", "-p", "no:unraisableexception", "-p", "no:threadexception",
    "-p", "no:junitxml", "-p", "no:pastebin", "-p", "no:doctest", "-p", "no:faulthandler", "-p", "no:stepwise",
    "-p", "no:setuponly", "-p", "no:setupplan",
)  # fmt: skip
PRELOADED = (
    "array", "ast", "asyncio", "base64", "bisect", "calendar", "cmath", "collections.abc", "concurrent.futures",
    "contextlib", "copy", "csv", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "hashlib",
    "heapq", "html", "importlib.machinery", "inspect", "io", "itertools", "json", "keyword", "linecache", "math",
    "numbers", "operator", "pathlib", "pprint", "queue", "random", "re", "secrets", "shutil", "statistics", "string",
    "struct", "tempfile", "textwrap", "threading", "time", "token", "tokenize", "traceback", "types", "typing",
    "unicodedata", "unittest", "unittest.mock", "urllib.parse", "uuid", "warnings", "weakref", "zlib",
)  # fmt: skip
_WARM = """
import pytest


@pytest.mark.parametrize("number", [1, 2])
def test_passes(number, tmp_path):
    assert number


def test_fails():
    assert [1, 2] == [1, 3]


def test_raises():
    with pytest.raises(ValueError, match="x"):
        raise ValueError("x")
"""


class PreparedPytest:
    """One configured session with the root folder `work`. `run` may be called once, in a fork."""

    def __init__(self, work: str, tmp: str) -> None:
        """`tmp` must be writable now; it is left as it was."""
        for name in PRELOADED:
            importlib.import_module(name)
        _warm_up(tmp)
        self._plugin = reporter.Reporter()
        os.chdir(work)
        self._config: Config = _prepareconfig(_arguments(work), [self._plugin])
        self._config._do_configure()
        # Nobody reads what it prints: results go through the reporter, and stdout is the program's own.
        terminal = self._config.pluginmanager.unregister(name="terminalreporter")
        assert terminal is not None
        self._session = Session.from_config(self._config)
        self._config.hook.pytest_sessionstart(session=self._session)
        gc.collect()
        syscalls.trim_memory()
        gc.freeze()

    def run(self, tests: list[str], control: str, send: reporter.Send, plugin: object | None = None) -> int:
        """Collect and run `tests` and the file `control`, with one more `plugin`; the exit code as pytest gives it."""
        self._plugin.begin(send, control)
        if plugin is not None:
            self._config.pluginmanager.register(plugin)
        self._config.args = [*tests, control]
        session = self._session
        try:
            self._config.hook.pytest_collection(session=session)
            self._config.hook.pytest_runtestloop(session=session)
        except Session.Interrupted:
            return int(pytest.ExitCode.INTERRUPTED)  # collection errors, which the reporter has told
        except BaseException as error:  # noqa: BLE001 - whatever the guest threw past pytest is its result
            send("aborted", id=self._plugin.current, **reporter.describe(error))
            return int(pytest.ExitCode.INTERNAL_ERROR)
        return int(pytest.ExitCode.TESTS_FAILED if session.testsfailed else pytest.ExitCode.OK)


def _arguments(root: str) -> list[str]:
    return [*ARGUMENTS, "--rootdir", root, "--confcutdir", root]


def _warm_up(folder: str) -> None:
    """One run of trusted tests, so that what pytest loads late is loaded before the first fork."""
    place = os.path.join(folder, "test_warm.py")
    with open(place, "w", encoding="utf-8") as file:
        file.write(_WARM)
    os.chdir(folder)
    kept = sys.stdout
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        sys.stdout = nowhere
        pytest.main([*_arguments(folder), f"--basetemp={folder}/base", place])
    sys.stdout = kept
    os.chdir("/")
    os.unlink(place)
    shutil.rmtree(f"{folder}/base")
    tempfile.tempdir = None
    for name in [name for name in sys.modules if "test_warm" in name]:
        del sys.modules[name]
