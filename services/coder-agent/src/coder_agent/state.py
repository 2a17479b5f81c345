"""What flows through the workflow: the task as it came, and the state the steps fill."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

from typing_extensions import TypedDict

from coder_agent.candidates import Candidate
from coder_agent.decision import Limits
from coder_agent.reading.examples import Reading
from coder_agent.suite import Suite
from kitty_llm import Usage

Verdict = Literal[
    "verified",
    "tests_failed",
    "not_verified",
    "budget_exhausted",
    "model_unavailable",
    "sandbox_unavailable",
    "cancelled",
]


@dataclass(frozen=True)
class Earlier:
    """What a conversation came to before this request."""

    request: str
    """All that was asked before, in order."""
    code: str
    """What was delivered last."""
    module: str
    caller_tests: str | None = None


@dataclass(frozen=True)
class Task:
    """One job as it was asked for, with every default filled in."""

    request: str
    limits: Limits
    given: str | None = None
    """The module as it is, where that is to be corrected; None: it is to be written."""
    error: str = ""
    """What was seen of the given module's mistake, such as a traceback."""
    module: str = "solution.py"
    caller_tests: str | None = None
    imports: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The modules that the caller's tests import, each with the names taken from it."""
    files: Mapping[str, str] = field(default_factory=dict)
    tier: str = "standard"
    model: str | None = None
    timeout_sec: float = 20
    """Seconds of one sandbox run."""
    deadline_sec: float | None = None
    """Seconds of the whole job."""
    earlier: Earlier | None = None
    """What this request goes on with."""

    @property
    def whole_request(self) -> str:
        """The words of this request, those that it goes on with before them."""
        return f"{self.earlier.request}\n\n{self.request}" if self.earlier else self.request

    @property
    def wanted(self) -> str:
        """What the model is told of the request: the code that it goes on with stands between."""
        if self.earlier is None:
            return self.request
        code = self.earlier.code.rstrip("\n")
        return f"{self.earlier.request}\n\nThe module so far:\n```python\n{code}\n```\n\nNow change it: {self.request}"

    @property
    def module_name(self) -> str:
        """`solution` for `solution.py`."""
        return PurePosixPath(self.module).stem

    @property
    def tests_file(self) -> str:
        """Where the delivered tests go."""
        return f"test_{self.module}"


@dataclass(frozen=True)
class Report:
    """The outcome: what is delivered, and what it rests on."""

    verdict: Verdict
    code: str
    tests: str
    passed: bool
    evidence: Mapping[str, object]
    confidence: float
    verdict_strength: str
    sandbox_tier: str
    stdout: str = ""
    stderr: str = ""
    test_output: str = ""
    error: str | None = None


@dataclass(frozen=True)
class StepTaken:
    """One step of the workflow: what it revealed and cost."""

    action: str
    paid: int = 0
    """Prompt tokens computed and tokens generated."""
    candidates: tuple[int, int] = (0, 0)
    """Indices of the candidates it made: from, and up to but without."""
    cases: tuple[str, ...] = ()
    """Ids of the cases it added."""
    inputs: tuple[str, ...] | None = None
    """The inputs, where it set them."""
    lost: bool = False
    """The model was lost in it."""
    asked: tuple[str, ...] = ()
    """The inputs whose values the model was asked for, or stated in its cases."""


class CodingState(TypedDict, total=False):
    """What the steps have found out so far. Each step returns only what it changed."""

    task: Task
    reading: Reading
    plan: str | None
    candidates: tuple[Candidate, ...]
    suite: Suite
    inputs: tuple[str, ...]
    rounds_of_tests: int
    refinements: int
    attempts: int
    splits: int
    asked: tuple[str, ...]
    """The inputs that the model was asked about in splits."""
    model_lost: str
    """Why no model can be asked any more, where that is so."""
    first_tokens: int
    """Prompt tokens and generated ones of the first answer, wherever its prompt was cached."""
    first_cached: int
    """Prompt tokens of it that were not computed."""
    first_length: int
    """Tokens generated for the first answer."""
    runs: int
    steps: tuple[StepTaken, ...]
    usage: Mapping[str, Usage]
    report: Report
    summary: str
