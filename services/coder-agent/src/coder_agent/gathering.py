"""From the state of a job to its evidence, and the account of its steps."""

import re
from collections.abc import Sequence

from coder_agent.candidates import Candidate
from coder_agent.evidence import Evidence
from coder_agent.runs import READS, caller_ids
from coder_agent.state import CodingState, StepTaken, Task
from coder_agent.suite import Suite
from coder_agent.variation import varied_calls, varied_texts
from coder_agent.wider_inputs import wider_calls

MOST_INPUTS = 20
"""Calls whose values are compared, unless the cases themselves are more."""

ASKED_FOR = r"\b(?:using|uses?|with|via|from|import)\s+(?:the\s+)?[`'\"]?{0}\b|[`'\"]{0}\b|\b{0}[`'\"]"
"""How a package is asked for, rather than a word used that is a package's name too."""


def evidence_of(state: CodingState) -> Evidence:
    """The state as `decide` sees it."""
    candidates = state.get("candidates", ())
    has_caller_tests = bool(state["task"].caller_tests)
    suite = state.get("suite", Suite())
    names = state["reading"].to_define if "reading" in state else ()
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
        asked=_asked(state),
        paid_tokens=spent(state),
        model_lost=bool(state.get("model_lost")),
        first_tokens=state.get("first_tokens", 0),
        has_caller_tests=has_caller_tests,
        asked_for=_asked_for(state["task"], candidates),
        telling=suite.telling,
        calls={} if has_caller_tests or len(names) < 2 else suite.calls_of(names),
    )


def can_go_on(state: CodingState) -> bool:
    """Whether there is code that meets every trusted case, so that losing the model costs certainty, not the job."""
    evidence = evidence_of(state)
    return evidence.best is not None and evidence.meets_trusted(evidence.best)


def inputs_of(suite: Suite, known: Sequence[str] = ()) -> list[str]:
    """What the candidates' values are compared on, as source: calls, or what scripts read as `stdin '…'`.

    Varied from the examples' first, those of the model's cases, varied from these.

    Args:
        known: those so far, which all stay.
    """
    if read := _read_texts(suite):
        return list(dict.fromkeys([*known, *(f"{READS}{text!r}" for text in varied_texts(read))]))
    trusted, others = (_calls(suite, trusted=kind) for kind in (True, False))
    needed = dict.fromkeys([*known, *varied_calls(trusted), *others])
    return list(dict.fromkeys([*needed, *varied_calls(others)]))[: max(MOST_INPUTS, len(needed))]


def wider_inputs_of(suite: Suite, known: Sequence[str], request: str) -> list[str]:
    """`known` and calls further away from those of the cases; scripts have none."""
    if _read_texts(suite):
        return list(known)
    calls = _calls(suite, trusted=True) or _calls(suite, trusted=False)
    return list(dict.fromkeys([*known, *wider_calls(calls, request)]))


def _read_texts(suite: Suite) -> list[str]:
    return [case.stdin for _, case in suite.cases if case.stdin is not None]


def _calls(suite: Suite, *, trusted: bool) -> list[str]:
    return [case.call for _, case in suite.cases if case.call and not case.raises and case.trusted is trusted]


def with_step(state: CodingState, update: CodingState, action: str) -> CodingState:
    """`update` with an account of the step that made it."""
    before, after = len(state["candidates"]), len(update.get("candidates", state["candidates"]))
    known = set(state["suite"].ids(trusted=False))
    merged = state | update
    step = StepTaken(
        action=action,
        paid=spent(merged) - spent(state),
        candidates=(before, after),
        cases=tuple(name for name in update.get("suite", state["suite"]).ids(trusted=False) if name not in known),
        inputs=update.get("inputs"),
        lost="model_lost" in update,
        asked=tuple(given for given in _asked(merged) if given not in _asked(state)),
    )
    return update | CodingState(steps=(*state["steps"], step))


def spent(state: CodingState) -> int:
    """Prompt tokens that had to be computed, and tokens generated; a plan is for display and does not count.

    The first prompt counts as computed: what a job may spend must not depend on what the server did before.
    """
    used = (one for step, one in state.get("usage", {}).items() if step != "plan")
    return sum(one.prefill_tokens + one.completion_tokens for one in used) + state.get("first_cached", 0)


def _asked(state: CodingState) -> tuple[str, ...]:
    """The inputs whose value the model has said in its cases, and those it was asked about."""
    said = [case.call for _, case in state.get("suite", Suite()).cases if case.call and not case.trusted]
    return (*said, *(given for given in state.get("asked", ()) if given not in said))


def _asked_for(task: Task, candidates: tuple[Candidate, ...]) -> frozenset[str]:
    """The missing packages that the request or the caller's tests name."""
    missing = {name for candidate in candidates if candidate.row for name in candidate.row.missing_modules}
    text = f"{task.whole_request}\n{task.caller_tests or ''}"
    return frozenset(name for name in missing if re.search(ASKED_FOR.format(re.escape(name)), text, re.IGNORECASE))
