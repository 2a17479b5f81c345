"""The port: what a caller hands to a sandbox and what comes back. Pure data; nothing here starts a process."""

import keyword
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, Protocol

from kitty_sandbox.errors import InvalidSandboxRun

MIB = 1024 * 1024
MAX_FILES = 200
MAX_FILES_BYTES = 4 * MIB
MAX_CANDIDATES = 500
MAX_CHECKS = 500

CaseOutcome = Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed"]
Outcome = Literal["passed", "failed", "timeout", "killed", "tampered", "no_tests", "infrastructure"]
CellOutcome = Literal["passed", "failed", "value", "raised", "timeout", "not_run"]
RowOutcome = Literal["ran", "timeout", "killed", "tampered", "infrastructure"]
VerdictStrength = Literal["split", "in-process"]
Profile = Literal["pure", "proc"]
"""`pure`: one process, no program can be started. `proc`: up to `SandboxLimits.processes` of them."""
SandboxTier = Literal["full", "ns-only", "landlock"]
"""`full`: namespaces, seccomp, limits and Landlock. `ns-only`: the same without Landlock. `landlock`: the same without
namespaces, for containers that refuse them; see `kitty_sandbox.place` for what that does not promise."""


@dataclass(frozen=True)
class SandboxLimits:
    """What one run may use. The time counts from the moment the guest's code can first run; start-up is extra."""

    timeout_sec: float = 20
    memory_mb: int = 512
    """Address space of the one process a run has."""
    output_kept_bytes: int = 256 * 1024
    """Of standard output and of standard error, each; the rest is dropped."""
    output_killed_bytes: int = 8 * MIB
    """More output than this ends the run."""
    file_mb: int = 16
    """The largest file the guest may write."""
    tmpfs_mb: int = 32
    """All of /tmp, the only place the guest may write to."""
    open_files: int = 128
    threads: int = 128
    processes: int = 32
    """With the profile `proc`; threads count as processes."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
                raise InvalidSandboxRun(f"The limit {item.name} must be a number above zero, not {value!r}.")


@dataclass(frozen=True)
class SandboxRun:
    """Files (relative path -> text or bytes, read-only in /work) and which of them are pytest files.

    Raises:
        InvalidSandboxRun: a path is absolute, leaves the folder or has an empty part; too large.
    """

    files: Mapping[str, str | bytes]
    tests: tuple[str, ...]
    limits: SandboxLimits = field(default_factory=SandboxLimits)
    profile: Profile = "pure"
    split: bool = False
    """Tests and program in two processes, with only plain data between them. Where the tests need more than that, they
    share one after all; `SandboxResult.verdict_strength` says which it was."""

    def __post_init__(self) -> None:
        _check_files(self.files)
        for test in self.tests:
            if not isinstance(self.files.get(test), str) or not test.endswith(".py"):
                raise InvalidSandboxRun(f"The test file {test!r} is not a .py text among the files of the run.")
        if len(set(self.tests)) != len(self.tests):
            raise InvalidSandboxRun("A test file is named twice.")


def _check_files(files: Mapping[str, str | bytes], others: int = 0) -> None:
    """`others` is the size in bytes of what else the run carries."""
    total = others + sum(_size_of_valid_file(path, content) for path, content in files.items())
    if len(files) > MAX_FILES or total > MAX_FILES_BYTES:
        raise InvalidSandboxRun(f"A run takes at most {MAX_FILES} files and {MAX_FILES_BYTES} bytes.")
    for path in files:
        parts = path.split("/")
        if any("/".join(parts[:depth]) in files for depth in range(1, len(parts))):
            raise InvalidSandboxRun(f"The path {path!r} lies below another file.")


def _size_of_valid_file(path: str, content: str | bytes) -> int:
    parts = path.split("/")
    if any(part in {"", ".", ".."} or len(part) > 120 for part in parts) or len(parts) > 12:
        raise InvalidSandboxRun(f"The path {path!r} is not a plain relative path.")
    if "::" in path or "\\" in path or not path.isprintable():
        raise InvalidSandboxRun(f"The path {path!r} holds a character that is not allowed.")
    try:
        return len(path.encode()) + len(content.encode() if isinstance(content, str) else content)
    except UnicodeEncodeError as error:
        raise InvalidSandboxRun(f"The file {path!r} is not valid Unicode text.") from error


@dataclass(frozen=True)
class CaseResult:
    """One test, or one file that could not be collected."""

    id: str
    """As pytest names it: `test_solution.py::test_x[1]`."""
    outcome: CaseOutcome
    message: str = ""
    """The assertion or exception text, at most 2000 characters; fit to show to a model. It is the guest's own text."""
    exception: str | None = None
    """The type's name, such as `NameError`."""
    seconds: float = 0.0


@dataclass(frozen=True)
class SandboxResult:
    """`passed` is true only for the outcome `passed`; with `infrastructure` the sandbox failed, not the program."""

    passed: bool
    outcome: Outcome
    reason: str
    cases: tuple[CaseResult, ...] = ()
    seconds: float = 0.0
    sandbox_tier: str = ""
    verdict_strength: VerdictStrength = "in-process"
    stdout: str = ""
    stderr: str = ""
    exit_code: int | None = None
    missing_modules: tuple[str, ...] = ()
    """Top-level names the guest failed to import that are neither its own files nor standard library."""


@dataclass(frozen=True)
class SandboxMatrix:
    """Candidates for one module, and checks that each of them is put to.

    A check is one or more statements, such as `assert f(2) == 4` or `with pytest.raises(ValueError): f(-1)`; where the
    last is an expression, such as `f([3, 1])`, its value is told. Checks see the module's names and `pytest`, each in a
    dictionary of its own; they run in order, in one process per candidate, so what a candidate keeps in its module or
    in an object of it lasts from one check to the next.

    Raises:
        InvalidSandboxRun: a path as in `SandboxRun`, no or too many candidates or checks, a blank check, a module that
            is not a plain name, a time that is none; too large.
    """

    candidates: tuple[str, ...]
    """Texts of the module. One that is not valid Python is a row that does not load."""
    checks: tuple[str, ...]
    module: str = "solution"
    """The name the candidate can be imported by."""
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    """The same for all candidates, read-only in /work; Python files there can be imported."""
    limits: SandboxLimits = field(default_factory=SandboxLimits)
    """Of each candidate: `timeout_sec` is for loading it and all its checks."""
    check_sec: float = 1.0
    """Of each check."""
    profile: Profile = "pure"

    def __post_init__(self) -> None:
        for name, count, most in (
            ("candidates", len(self.candidates), MAX_CANDIDATES),
            ("checks", len(self.checks), MAX_CHECKS),
        ):
            if not 0 < count <= most:
                raise InvalidSandboxRun(f"A matrix takes 1 to {most} {name}, not {count}.")
        if any(not check.strip() for check in self.checks):
            raise InvalidSandboxRun("A check is blank.")
        if not self.module.isidentifier() or keyword.iskeyword(self.module):
            raise InvalidSandboxRun(f"The module {self.module!r} is not a plain name.")
        if not (math.isfinite(self.check_sec) and self.check_sec > 0):
            raise InvalidSandboxRun(f"check_sec must be a number above zero, not {self.check_sec!r}.")
        texts = (*self.candidates, *self.checks)
        _check_files(self.files, others=sum(len(text.encode("utf-8", "surrogatepass")) for text in texts))


@dataclass(frozen=True)
class Cell:
    """What one check did on one candidate, as the candidate's own process tells it: never proof, see `MatrixRow`."""

    outcome: CellOutcome
    """`passed`: all statements ran. `failed`: an assert of the check is false, or `pytest.raises` saw nothing raised.
    `value`: the value of the check's last expression is known. `raised`: anything else was raised, by the candidate or
    by the check. `timeout`: it did not end in time. `not_run`: it was not reached, or its end was not told."""
    value: str | None = None
    """The repr of the expression, or of what stands left in the failed assert (its whole condition where it compares
    nothing). At most 2000 characters, without addresses; an iterator is shown as the list of its first 1000 items."""
    exception: str | None = None
    """The type's name; in a candidate that did not load, of what its loading raised."""
    message: str = ""
    """At most 500 characters, fit to show to a model. It is the guest's own text."""


@dataclass(frozen=True)
class MatrixRow:
    """One candidate. Fit for choosing between candidates; the final word on the chosen one is `Sandbox.run`'s."""

    cells: tuple[Cell, ...]
    """One a check, in order."""
    loads: bool
    """Whether the module was executed without an exception."""
    outcome: RowOutcome
    """`ran`: to the end (also of one that does not load). `timeout`: ended by its time limit, or because a check could
    not be interrupted. `killed`: its process ended, or was ended, before that. `tampered`: its report is not ours, no
    cell is kept. `infrastructure`: the sandbox failed, not the candidate."""
    reason: str
    missing_modules: tuple[str, ...] = ()
    """As in `SandboxResult`."""
    stdout: str = ""
    """At most 2000 characters."""
    seconds: float = field(default=0.0, compare=False)
    """Of the candidate's one run."""


@dataclass(frozen=True)
class SandboxStatus:
    """What this machine can isolate, found by running escape programs."""

    available: bool
    sandbox_tier: str = ""
    python: str = ""
    python_version: str = ""
    reason: str = ""
    fix: str = ""
    warnings: tuple[str, ...] = ()


class Sandbox(Protocol):
    async def run(self, run: SandboxRun) -> SandboxResult:
        """Run the tests of `run` and judge them. Raises `SandboxUnavailable` where nothing can be isolated."""
        ...

    async def matrix(self, matrix: SandboxMatrix) -> tuple[MatrixRow, ...]:
        """Put each candidate to each check: a row per candidate, in order. Not a verdict; raises as `run` does."""
        ...

    async def probe(self) -> SandboxStatus:
        """Say whether runs are possible here, and if not, what is missing and how to mend it."""
        ...
