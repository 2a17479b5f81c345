"""The task file: JSON, one task a line: {"id", "request", "module", "tests": {name: text}} and optionally "reference".

Who solves a task sees `request` and `module` alone. A file is read to its end before anything starts: a bad row in the
middle would cost hours to find out.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kitty_evals.errors import UsageProblem
from kitty_sandbox import InvalidSandboxRun, SandboxRun

MODULE = re.compile(r"[A-Za-z_]\w*\.py", re.ASCII)


@dataclass(frozen=True)
class Task:
    """One request and the hidden tests that judge the answer."""

    id: str
    request: str
    module: str
    """File name of the module, such as `solution.py`."""
    tests: Mapping[str, str]
    """File name to text; hidden from who solves the task."""
    reference: str | None = None
    """A solution that passes the tests."""

    @property
    def sha256(self) -> str:
        """Of all that makes it this task: what is asked and what judges the answer."""
        whole = json.dumps([self.id, self.request, self.module, dict(self.tests)], sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()


def read_tasks(path: Path) -> tuple[Task, ...]:
    """All tasks of the file, in order.

    Raises:
        UsageProblem: it cannot be read, a row is not a task (with file, line and key), or there is none.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise UsageProblem(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{path} is not UTF-8 text: {error}.") from error
    tasks: dict[str, Task] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        task = _task(line, f"{path}:{number}")
        if task.id in tasks:
            raise UsageProblem(f'{path}:{number}: "id" is {task.id!r}, as in an earlier row.')
        tasks[task.id] = task
    if not tasks:
        raise UsageProblem(f"{path} holds no task.")
    return tuple(tasks.values())


def choose(tasks: tuple[Task, ...], *, offset: int = 0, every: int = 1, limit: int | None = None) -> tuple[Task, ...]:
    """Each so-manieth task from `offset` on, at most `limit`.

    Raises:
        UsageProblem: none is left.
    """
    chosen = tasks[offset::every][:limit]
    if not chosen:
        raise UsageProblem(f"--offset {offset} leaves none of the {len(tasks)} tasks.")
    return chosen


def _task(line: str, place: str) -> Task:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UsageProblem(f"{place}: the row is not JSON: {error}.") from error
    if not isinstance(row, dict):
        raise UsageProblem(f"{place}: the row is not a JSON object.")
    for key, problem in _problems(row):
        raise UsageProblem(f'{place}: "{key}" {problem}.')
    return Task(row["id"], row["request"], row["module"], row["tests"], row.get("reference"))


def _problems(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Key and what is wrong with it, in words that follow the key."""
    for key in ("id", "request", "module"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            yield key, "is missing" if key not in row else "is not a text, or is empty"
    if not MODULE.fullmatch(str(row.get("module"))):
        yield "module", f"is {row.get('module')!r}, not a plain file name such as solution.py"
    if not isinstance(row.get("reference"), str | None):
        yield "reference", "is not a text"
    yield from _problems_of_tests(row)


def _problems_of_tests(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    tests = row.get("tests")
    if not isinstance(tests, dict) or not tests:
        yield "tests", "is missing, or is not an object of file names and texts"
        return
    for name, text in tests.items():
        if not isinstance(text, str):
            yield "tests", f"holds {name!r} without a text"
    if row["module"] in tests:
        yield "tests", f"holds {row['module']}, which is the module"
    try:
        SandboxRun(files=tests, tests=tuple(tests))
    except InvalidSandboxRun as error:
        yield "tests", f"is no set of test files: {error}"
