"""The port: what a caller hands to a sandbox and what comes back. Pure data; nothing here starts a process."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, Protocol

from kitty_sandbox.errors import InvalidSandboxRun

MIB = 1024 * 1024
MAX_FILES = 200
MAX_FILES_BYTES = 4 * MIB

CaseOutcome = Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed"]
Outcome = Literal["passed", "failed", "timeout", "killed", "tampered", "no_tests", "infrastructure"]
VerdictStrength = Literal["split", "in-process"]
Profile = Literal["pure", "proc"]
"""`pure`: one process, no program can be started. `proc`: up to `SandboxLimits.processes` of them."""
SandboxTier = Literal["full", "ns-only"]
"""`full`: namespaces, seccomp, limits and Landlock. `ns-only`: the same without Landlock."""


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

    def __post_init__(self) -> None:
        total = sum(_size_of_valid_file(path, content) for path, content in self.files.items())
        if len(self.files) > MAX_FILES or total > MAX_FILES_BYTES:
            raise InvalidSandboxRun(f"A run takes at most {MAX_FILES} files and {MAX_FILES_BYTES} bytes.")
        for path in self.files:
            parts = path.split("/")
            if any("/".join(parts[:depth]) in self.files for depth in range(1, len(parts))):
                raise InvalidSandboxRun(f"The path {path!r} lies below another file.")
        for test in self.tests:
            if not isinstance(self.files.get(test), str) or not test.endswith(".py"):
                raise InvalidSandboxRun(f"The test file {test!r} is not a .py text among the files of the run.")
        if len(set(self.tests)) != len(self.tests):
            raise InvalidSandboxRun("A test file is named twice.")


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

    async def probe(self) -> SandboxStatus:
        """Say whether runs are possible here, and if not, what is missing and how to mend it."""
        ...
