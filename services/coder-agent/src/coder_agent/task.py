"""From what was asked to a `Task`: every default filled in, the module named, every name checked.

Raises `BadRequest` where the files, the module and the tests could not lie in one folder.
"""

import ast
import keyword
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from coder_agent.decision import Limits
from coder_agent.runs import caller_file, sandbox_run
from coder_agent.state import Task
from kitty_core.errors import BadRequest
from kitty_sandbox import InvalidSandboxRun

DEFAULT_MODULE = "solution.py"
PLAIN_MODULE = re.compile(r"[A-Za-z_]\w{0,75}\.py", re.ASCII)
TEST_LIBRARIES = frozenset({"pytest", "hypothesis", "numpy", "__future__"})
TAKEN_IN_THE_SANDBOX = frozenset({"conftest", "guest", "iniconfig", "packaging", "pluggy", "py", "pygments", "pytest"})


def read_task(
    *,
    request: str,
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
    task = Task(
        request=request,
        limits=replace(limits, refinements=refinements, runs_code=runs_code),
        module=module or _tested_module(caller_tests, files) or DEFAULT_MODULE,
        caller_tests=caller_tests,
        files=files,
        tier=tier,
        model=model,
        timeout_sec=timeout_sec,
        deadline_sec=deadline_sec,
    )
    _check_names(task)
    return task


def imported_modules(tests: str | None) -> set[str]:
    """Top-level names of everything `tests` imports; none where it cannot be read."""
    return {name.split(".")[0] for name in _imports(tests)}


def module_name_problem(module: str) -> str | None:
    """Why `module` cannot be the file to write, or None."""
    stem = module.removesuffix(".py")
    if not PLAIN_MODULE.fullmatch(module) or keyword.iskeyword(stem):
        return "must be a plain file name such as solution.py"
    if stem.startswith("test_") or stem in TAKEN_IN_THE_SANDBOX:
        return "must not be the name of a test file or of a package that runs the tests"
    if stem in sys.stdlib_module_names:
        return "is a module of Python's own library, which would be imported instead"
    return None


def _check_names(task: Task) -> None:
    if problem := module_name_problem(task.module):
        raise BadRequest(f"module: {task.module!r} {problem}")
    own = {task.module_name, task.module, task.tests_file, caller_file(task)}
    for path in task.files:
        if PurePosixPath(path).parts[0] in own:
            raise BadRequest(f"files: {path!r} stands in the way of a file the job writes itself")
    try:
        sandbox_run(task, "", {task.tests_file: "", caller_file(task): ""})
    except InvalidSandboxRun as error:
        raise BadRequest(f"files: {error}") from error


def _tested_module(tests: str | None, files: Mapping[str, str]) -> str | None:
    """The one module the tests import that is neither Python's, a test library's, nor among `files`."""
    given = {PurePosixPath(path).parts[0].removesuffix(".py") for path in files}
    known = sys.stdlib_module_names | TEST_LIBRARIES | given
    unknown = [name for name in _imports(tests) if name.split(".")[0] not in known]
    return f"{unknown[0]}.py" if len(unknown) == 1 and unknown[0].isidentifier() else None


def _imports(tests: str | None) -> list[str]:
    try:
        tree = ast.parse(tests or "")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    names: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names[node.module] = None
        elif isinstance(node, ast.Import):
            names.update(dict.fromkeys(alias.name for alias in node.names))
    return list(names)
