"""From what was asked to a `Task`: every default filled in, the module named, every name checked.

Raises `BadRequest` where the files, the module and the tests could not lie in one folder.
"""

import keyword
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from coder_agent.decision import Limits
from coder_agent.runs import caller_file, sandbox_run
from coder_agent.source_text import BYTE_ORDER_MARK, imports_in
from coder_agent.state import Task
from kitty_core.errors import BadRequest
from kitty_sandbox import InvalidSandboxRun

DEFAULT_MODULE = "solution.py"
PLAIN_MODULE = re.compile(r"[A-Za-z_]\w{0,75}\.py", re.ASCII)
TEST_LIBRARIES = frozenset({"_pytest", "pytest", "hypothesis", "numpy", "__future__"})
TAKEN_IN_THE_SANDBOX = frozenset(
    {"_pytest", "conftest", "guest", "iniconfig", "packaging", "pluggy", "py", "pygments", "pytest"}
)
TAKEN_BY_THE_JOB = re.compile(r"candidate_\d+|test_comparison|test_stubs")
"""Modules of the runs that compare candidates and that try the tests on stubs."""
IMPORTABLE = frozenset({"", ".py", ".pyc", ".so"})
"""Suffixes of what Python may import in place of a module."""


def read_task(
    *,
    request: str,
    given: str | None = None,
    error: str = "",
    module: str | None,
    caller_tests: str | None,
    files: Mapping[str, str],
    limits: Limits,
    refinements: int,
    runs_code: bool,
    tier: str,
    model: str | None,
    timeout_sec: float,
    deadline_sec: float | None,
) -> Task:
    """The task. Where no module is named, the one the caller's tests import is meant.

    Raises:
        BadRequest: the module's name cannot be imported, or a file stands in its way.
    """
    imports = imports_in(caller_tests or "")
    task = Task(
        request=request,
        given=None if given is None else given.removeprefix(BYTE_ORDER_MARK).replace("\r\n", "\n").rstrip("\n") + "\n",
        error=error,
        limits=replace(limits, refinements=refinements, runs_code=runs_code),
        module=module or _tested_module(imports, files) or DEFAULT_MODULE,
        caller_tests=caller_tests,
        imports=imports,
        files={path: _without_mark(path, text) for path, text in files.items()},
        tier=tier,
        model=model,
        timeout_sec=timeout_sec,
        deadline_sec=deadline_sec,
    )
    _check_names(task)
    return task


def module_name_problem(module: str) -> str | None:
    """Why `module` cannot be the file to write, or None."""
    stem = module.removesuffix(".py")
    if not PLAIN_MODULE.fullmatch(module) or keyword.iskeyword(stem) or stem.startswith("__"):
        return "must be a plain file name such as solution.py"
    if stem.startswith("test_") or stem in TAKEN_IN_THE_SANDBOX:
        return "must not be the name of a test file or of a package that runs the tests"
    if stem in sys.stdlib_module_names:
        return "is a module of Python's own library, which would be imported instead"
    return None


def _check_names(task: Task) -> None:
    if problem := module_name_problem(task.module):
        raise BadRequest(f"module: {task.module!r} {problem}")
    for path in task.files:
        if _stands_in_the_way(path, task):
            raise BadRequest(f"files: {path!r} stands in the way of a file the job writes itself")
    try:
        sandbox_run(task, "", {task.tests_file: "", caller_file(task): ""})
    except InvalidSandboxRun as error:
        raise BadRequest(f"files: {error}") from error


def _stands_in_the_way(path: str, task: Task) -> bool:
    """Whether `path` could be imported for a module that the job writes itself, or takes its place."""
    first = PurePosixPath(path).parts[0]
    name = first.partition(".")[0]
    own = {task.module_name, task.tests_file.removesuffix(".py"), caller_file(task).removesuffix(".py")}
    is_own = name in own or TAKEN_BY_THE_JOB.fullmatch(name) is not None
    return is_own and PurePosixPath(first).suffix in IMPORTABLE


def _without_mark(path: str, text: str) -> str:
    """A Python file without its byte order mark; data stay as they are."""
    return text.removeprefix(BYTE_ORDER_MARK) if path.endswith(".py") else text


def _tested_module(imports: Iterable[str], files: Mapping[str, str]) -> str | None:
    """The one module the tests import that is neither Python's, a test library's, nor among `files`."""
    given = {PurePosixPath(path).parts[0].removesuffix(".py") for path in files}
    known = sys.stdlib_module_names | TEST_LIBRARIES | given
    unknown = [name for name in imports if name.split(".")[0] not in known]
    return f"{unknown[0]}.py" if len(unknown) == 1 and unknown[0].isidentifier() else None
