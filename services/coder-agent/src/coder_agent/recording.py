"""A job's evidence as a record: enough to take its decisions again without a model.

The matrix is the last one, over all candidates, cases and inputs; the steps say what each revealed and what it cost, in
tokens. So `replay` can reveal it again step by step, in another order where the decisions are other ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from coder_agent.candidates import Candidate, Check, ExampleStrength, Row
from coder_agent.decision import Action
from coder_agent.evidence import Evidence
from coder_agent.state import CodingState, StepTaken

VERSION = 3


@dataclass(frozen=True)
class Recording:
    """One job."""

    job_id: str
    tier: str
    refinements: int
    trusted: tuple[str, ...]
    properties: tuple[str, ...]
    has_caller_tests: bool
    telling: int
    calls: Mapping[str, Sequence[str]]
    asked_for: tuple[str, ...]
    runs_code: bool
    candidates: tuple[Candidate, ...]
    steps: tuple[StepTaken, ...]
    verdict: str = ""
    delivered: int | None = None
    """Index of the candidate that was delivered."""
    right: Mapping[int, bool] | None = None
    """By candidate, whether it passes hidden tests; only an evaluation knows."""
    task: str = ""
    """The evaluation's name of the task."""

    @property
    def actions(self) -> list[Action]:
        """What was decided, in order, without the verdict."""
        return [cast(Action, step.action) for step in self.steps]


def record(job_id: str, state: CodingState, evidence: Evidence) -> Recording:
    """The record of a job that ended with `state`, and with `evidence` gathered of it."""
    task, report = state["task"], state.get("report")
    candidates = tuple(state.get("candidates", ()))
    delivered = next((c.index for c in candidates if report is not None and c.code == report.code), None)
    return Recording(
        job_id=job_id,
        tier=task.tier,
        refinements=task.limits.refinements,
        trusted=tuple(evidence.trusted),
        properties=tuple(evidence.properties),
        has_caller_tests=evidence.has_caller_tests,
        telling=evidence.telling,
        calls={name: tuple(cases) for name, cases in evidence.calls.items()},
        asked_for=tuple(sorted(evidence.asked_for)),
        runs_code=task.limits.runs_code,
        candidates=candidates,
        steps=tuple(state.get("steps", ())),
        verdict=report.verdict if report is not None else "",
        delivered=delivered,
    )


def to_json(recording: Recording) -> dict[str, Any]:
    """Plain data for JSON; `from_json` reads it back equal."""
    right = None if recording.right is None else {str(index): is_right for index, is_right in recording.right.items()}
    return {"version": VERSION, **asdict(recording), "right": right}


def from_json(data: Mapping[str, Any]) -> Recording:
    """The recording in `data`.

    Raises:
        ValueError: it is of another version, or incomplete.
    """
    if not isinstance(data, Mapping) or "version" not in data:
        raise ValueError("no recording")
    if data.get("version") != VERSION:
        raise ValueError(f"a recording of version {data.get('version')!r}; this program reads version {VERSION}")
    try:
        return Recording(
            **{key: data[key] for key in ("job_id", "tier", "refinements", "has_caller_tests", "verdict", "delivered")},
            telling=data["telling"],
            calls={name: tuple(cases) for name, cases in data["calls"].items()},
            asked_for=tuple(data["asked_for"]),
            runs_code=data["runs_code"],
            trusted=tuple(data["trusted"]),
            properties=tuple(data["properties"]),
            candidates=tuple(_candidate(one) for one in data["candidates"]),
            steps=tuple(_step(one) for one in data["steps"]),
            task=data.get("task", ""),
            right=None if data["right"] is None else {int(key): is_right for key, is_right in data["right"].items()},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"an incomplete recording: {error}") from error


def _step(data: Mapping[str, Any]) -> StepTaken:
    first, end = data["candidates"]
    inputs = None if data["inputs"] is None else tuple(data["inputs"])
    facts = (data["action"], data["paid"], (first, end), tuple(data["cases"]), inputs, data["lost"])
    return StepTaken(*facts, asked=tuple(data["asked"]))


def _candidate(data: Mapping[str, Any]) -> Candidate:
    row, strength = data["row"], data["strength"]
    return Candidate(
        **{
            **data,
            "names": tuple(data["names"]),
            "row": None if row is None else _row(row),
            "strength": None if strength is None else ExampleStrength(**strength),
        }
    )


def _row(data: Mapping[str, Any]) -> Row:
    checks = {name: Check(**check) for name, check in data["checks"].items()}
    return Row(**{**data, "checks": checks, "missing_modules": tuple(data["missing_modules"])})
