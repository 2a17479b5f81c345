"""Candidates and what running them showed: plain data, and pure functions over it.

A candidate is one module the model wrote. Each run gives it a row: how it fared on every case. `best` picks the one to
deliver; a later candidate replaces an earlier one only when it is strictly better.
"""

import ast
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from coder_agent.source_text import tree_of

MOST_SIGNATURE_CHARS = 160
LEAST_VOTERS = 3
"""Samples that a majority needs; two that agree may share one mistake."""
Origin = Literal["sample", "refine"]


@dataclass(frozen=True)
class Check:
    """How a candidate fared on one case: `message` is what a person (or the model) needs to see of a failure."""

    passed: bool
    exception: str | None = None
    message: str = ""


@dataclass(frozen=True)
class Row:
    """What one run of a candidate showed, by the ids of the cases (names in `Suite`, `caller:…` for the caller's)."""

    checks: Mapping[str, Check]
    loads: bool
    """The module imports and defines the name asked for."""
    missing_modules: tuple[str, ...] = ()
    outcome: str = ""
    """The sandbox's own word for the run: passed, failed, timeout, killed, tampered, no_tests, infrastructure."""
    reason: str = ""
    stdout: str = ""
    stderr: str = ""

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
class Candidate:
    """One module: `index` counts from 0 in the order of making; `row` is None until it has been run."""

    index: int
    code: str
    names: tuple[str, ...]
    origin: Origin
    model: str = ""
    model_sha256: str | None = None
    row: Row | None = field(default=None, compare=False)

    @property
    def sha256(self) -> str:
        """Of the code's UTF-8 bytes: what a verdict is bound to."""
        return hashlib.sha256(self.code.encode()).hexdigest()

    @property
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

    def with_row(self, row: Row) -> "Candidate":
        """The same candidate with what a run showed."""
        return replace(self, row=row)


def passed_of(candidate: Candidate, case_ids: Sequence[str]) -> int:
    """How many of `case_ids` the candidate passed; 0 before it has been run."""
    checks = candidate.row.checks if candidate.row else {}
    return sum(case_id in checks and checks[case_id].passed for case_id in case_ids)


def contradicted(candidates: Sequence[Candidate], generated: Sequence[str]) -> frozenset[str]:
    """The generated cases that more than half of the voters (at least three) fail."""
    votes = voters(candidates)
    if len(votes) < LEAST_VOTERS:
        return frozenset()
    return frozenset(case for case in generated if sum(passed_of(c, [case]) == 0 for c in votes) * 2 > len(votes))


def voters(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates whose behaviour says something about the tests: those that load and do more than crash.

    A refinement has no vote: it is an earlier candidate's code edited, and has seen some of the tests.
    """
    return [c for c in candidates if c.origin == "sample" and c.row and c.row.loads and not c.row.only_crashes]


def best(
    candidates: Sequence[Candidate],
    trusted: Sequence[str],
    generated: Sequence[str],
    alike: Mapping[int, frozenset[int]] | None = None,
) -> Candidate | None:
    """The candidate to deliver: trusted cases first, then company, then generated cases, then the earlier.

    One that passes every generated case comes before company: wrong code hardly ever does. Short of that, what most
    candidates do outweighs the model's cases, of which a third to a half are wrong (CodeT, arXiv 2207.10397, and S*).

    Args:
        alike: by index, the candidates (itself included) that do the same on inputs nobody wrote.
    """

    def score(candidate: Candidate) -> tuple[bool, int, bool, int, int, int]:
        loads = candidate.row is not None and candidate.row.loads
        company = len((alike or {}).get(candidate.index, ()))
        passed = passed_of(candidate, generated)
        return loads, passed_of(candidate, trusted), passed == len(generated), company, passed, -candidate.index

    return max(candidates, key=score, default=None)
