"""From what was asked to a `Task`: every default filled in, the module named."""

import ast
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from coder_agent.decision import Limits
from coder_agent.state import Task

DEFAULT_MODULE = "solution.py"
TEST_LIBRARIES = frozenset({"pytest", "hypothesis", "numpy", "__future__"})


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
    """The task. Where no module is named, the one the caller's tests import is meant."""
    return Task(
        request=request,
        limits=replace(limits, refinements=refinements, runs_code=runs_code),
        module=module or _imported_module(caller_tests, files) or DEFAULT_MODULE,
        caller_tests=caller_tests,
        files=files,
        tier=tier,
        model=model,
        timeout_sec=timeout_sec,
        deadline_sec=deadline_sec,
    )


def _imported_module(tests: str | None, files: Mapping[str, str]) -> str | None:
    """The one module the tests import that is neither Python's, a test library's, nor among `files`."""
    try:
        tree = ast.parse(tests or "")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    given = {PurePosixPath(path).parts[0].removesuffix(".py") for path in files}
    names: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names[node.module] = None
        elif isinstance(node, ast.Import):
            names.update(dict.fromkeys(alias.name for alias in node.names))
    unknown = [n for n in names if n.split(".")[0] not in sys.stdlib_module_names | TEST_LIBRARIES | given]
    return f"{unknown[0]}.py" if len(unknown) == 1 and unknown[0].isidentifier() else None
