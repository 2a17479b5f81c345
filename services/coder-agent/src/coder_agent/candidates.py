"""Candidates and what running them showed: plain data.

A candidate is one module the model wrote. Each run gives it a row: how it fared on every case, and what it gave for
every input.
"""

import ast
import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from coder_agent.source_text import tree_of

MOST_SIGNATURE_CHARS = 160
Origin = Literal["given", "sample", "refine", "repair", "reduced"]
"""Who wrote it: the caller; the model, from the request or to correct other code; nobody: a correction without the
changes that it does not need."""
Style = Literal["plain", "again", "hot", "steps", "because", "anew"]
"""How it was asked for; see `prompts.code_prompt` and `anew_prompt`. All but `plain` are drawn at a temperature, `hot`
at a higher one."""
WAYS: Mapping[str, str] = {
    "plain": "at once",
    "again": "at once",
    "hot": "at once",
    "steps": "steps",
    "because": "example",
    "anew": "mistake",
}
"""By style, what stands before the code: nothing, steps, why an example gives what it does, or an earlier mistake."""


@dataclass(frozen=True)
class Check:
    """How a candidate fared on one case: `message` is what a person (or the model) needs to see of a failure."""

    passed: bool
    exception: str | None = None
    message: str = ""


@dataclass(frozen=True)
class Row:
    """What the runs of a candidate showed, by the ids of the cases (names in `Suite`, `caller:…` for the caller's)."""

    checks: Mapping[str, Check]
    loads: bool
    """The module imports and defines the name asked for."""
    missing_modules: tuple[str, ...] = ()
    outcome: str = ""
    """The sandbox's own word for the run, such as passed, failed, ran, timeout, killed, tampered, infrastructure."""
    reason: str = ""
    stdout: str = ""
    stderr: str = ""
    outputs: Mapping[str, str | None] = field(default_factory=dict)
    """By input, the repr of what it gave; None where it gave nothing: it raised, took too long or was not run."""

    @property
    def only_crashes(self) -> bool:
        """Whether the module does not load, or every case failed by an error other than a failed assert."""
        failed = [check for check in self.checks.values() if not check.passed]
        return not self.loads or (
            len(failed) == len(self.checks) and bool(failed) and all(c.exception != "AssertionError" for c in failed)
        )

    def signature(self) -> str:
        """What the failure looks like; equal for two runs that fail alike, empty when nothing failed."""
        failures = sorted(
            f"{name}:{check.exception}:{check.message[:MOST_SIGNATURE_CHARS]}"
            for name, check in self.checks.items()
            if not check.passed
        )
        return "|".join([*failures, *self.missing_modules]) or ("" if self.loads else self.reason)


@dataclass(frozen=True)
class ExampleStrength:
    """How much the request's examples say of code that meets them."""

    faults_found: float | None = None
    """Of small faults put into the code, the share that they find; None: there is no place for one."""
    stub_meets: bool = False
    """Whether a stub, such as one that always gives True, meets all of them as well."""


@dataclass(frozen=True)
class Candidate:
    """One module: `index` counts from 0 in the order of making; `row` is None until it has been run."""

    index: int
    code: str
    names: tuple[str, ...]
    origin: Origin
    model: str = ""
    model_sha256: str | None = None
    style: Style = "plain"
    row: Row | None = field(default=None, compare=False)
    strength: ExampleStrength | None = field(default=None, compare=False)
    """What the request's examples say of it, whatever else it is run on; None: not tried, or that did not come out."""

    @property
    def way(self) -> str:
        """The way by which the model came to this code: two ways hardly lead to the same mistake."""
        return WAYS[self.style]

    @property
    def is_independent(self) -> bool:
        """Whether the model wrote it without being shown other code."""
        return self.origin == "sample" or self.style == "anew"

    @property
    def sha256(self) -> str:
        """Of the code's UTF-8 bytes: what a verdict is bound to."""
        return hashlib.sha256(self.code.encode()).hexdigest()

    @cached_property
    def form(self) -> str:
        """Equal for candidates that differ in comments, docstrings and layout alone; the code where it is too deep."""
        tree = tree_of(self.code)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(node):
                node.body = node.body[1:]
        try:
            return ast.dump(tree)
        except RecursionError:
            return self.code

    def lines_changed(self, given: "Candidate") -> int:
        """How many lines differ from those of `given`, taken out and put in."""
        diff = difflib.ndiff(given.code.splitlines(), self.code.splitlines())
        return sum(line[:2] in ("+ ", "- ") for line in diff)

    def with_row(self, row: Row | None) -> "Candidate":
        """The same candidate with what a run showed."""
        return replace(self, row=row)


def passed_of(candidate: Candidate, case_ids: Sequence[str]) -> int:
    """How many of `case_ids` the candidate passed; 0 before it has been run."""
    checks = candidate.row.checks if candidate.row else {}
    return sum(case_id in checks and checks[case_id].passed for case_id in case_ids)
