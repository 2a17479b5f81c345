"""From the state of a job to its evidence, and the account of its steps."""

import re
from collections.abc import Mapping

from coder_agent.candidates import Candidate
from coder_agent.evidence import Evidence
from coder_agent.runs import caller_ids
from coder_agent.state import CodingState, StepTaken, Task
from coder_agent.tests_gate import Suite
from coder_agent.variation import varied_calls
from kitty_llm import Usage

MOST_INPUTS = 20
"""Calls whose values are compared."""


def evidence_of(state: CodingState) -> Evidence:
    """The state as `decide` sees it."""
    candidates = state.get("candidates", ())
    has_caller_tests = bool(state["task"].caller_tests)
    suite = state.get("suite", Suite())
    return Evidence(
        candidates=candidates,
        trusted=suite.ids(trusted=True) + (caller_ids(candidates) if has_caller_tests else []),
        properties=suite.properties,
        generated=suite.ids(trusted=False),
        inputs=state.get("inputs", ()),
        rounds_of_tests=state.get("rounds_of_tests", 0),
        refinements=state.get("refinements", 0),
        attempts=state.get("attempts", 0),
        splits=state.get("splits", 0),
        asked=state.get("asked", ()),
        paid_tokens=paid(state.get("usage", {})),
        model_lost=bool(state.get("model_lost")),
        first_tokens=state.get("first_tokens", 0),
        has_caller_tests=has_caller_tests,
        asked_for=_asked_for(state["task"], candidates),
    )


def can_go_on(state: CodingState) -> bool:
    """Whether there is code that meets every trusted case, so that losing the model costs certainty, not the job."""
    evidence = evidence_of(state)
    return evidence.best is not None and evidence.meets_trusted(evidence.best)


def inputs_of(suite: Suite) -> list[str]:
    """Calls whose values are compared: varied from the examples' first, those of the model's cases, varied ones."""
    trusted, others = (
        [case.call for _, case in suite.cases if case.call and not case.raises and case.trusted is kind]
        for kind in (True, False)
    )
    calls = dict.fromkeys([*varied_calls(trusted), *others, *varied_calls(others)])
    return list(calls)[:MOST_INPUTS]


def with_step(state: CodingState, update: CodingState, action: str) -> CodingState:
    """`update` with an account of the step that made it."""
    before, after = len(state["candidates"]), len(update.get("candidates", state["candidates"]))
    known = set(state["suite"].ids(trusted=False))
    step = StepTaken(
        action=action,
        paid=paid(update.get("usage", state["usage"])) - paid(state["usage"]),
        candidates=(before, after),
        cases=tuple(name for name in update.get("suite", state["suite"]).ids(trusted=False) if name not in known),
        inputs=update.get("inputs"),
        lost="model_lost" in update,
        asked=next(iter(update.get("asked", ())[-1:]), None),
    )
    return update | CodingState(steps=(*state["steps"], step))


def paid(usage: Mapping[str, Usage]) -> int:
    """Prompt tokens that had to be computed, and tokens generated; a plan is for display and does not count."""
    return sum(used.prefill_tokens + used.completion_tokens for step, used in usage.items() if step != "plan")


def _asked_for(task: Task, candidates: tuple[Candidate, ...]) -> frozenset[str]:
    """The missing packages that the request or the caller's tests name."""
    text = f"{task.request}\n{task.caller_tests or ''}"
    missing = {name for candidate in candidates if candidate.row for name in candidate.row.missing_modules}
    return frozenset(name for name in missing if re.search(rf"\b{re.escape(name)}\b", text, re.IGNORECASE))
