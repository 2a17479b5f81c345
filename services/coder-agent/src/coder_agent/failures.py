"""What a run showed of a candidate's mistake, as the model is told it."""

from coder_agent.candidates import Candidate
from coder_agent.suite import Suite

MOST_REMARK_CHARS = 240
"""Of a failure that is told in one comment."""


def wrong_value(suite: Suite, candidate: Candidate) -> str | None:
    """What `candidate` gave for the first example it fails and what is right; None where that is not all there is."""
    cases = dict(suite.cases)
    for name, check in candidate.row.checks.items() if candidate.row else ():
        if not check.passed and name in cases and cases[name].trusted:
            is_value = check.exception == "AssertionError" and cases[name].expected is not None
            is_short = len(check.message) <= MOST_REMARK_CHARS and "\n" not in check.message
            return check.message if is_value and is_short else None
    return None


def failures(suite: Suite, candidate: Candidate) -> list[str]:
    """Everything that failed, the trusted cases first; of code that did not run, why."""
    row = candidate.row
    if row is None:
        return []
    if row.missing_modules:
        names = ", ".join(row.missing_modules)
        return [f"ModuleNotFoundError: {names} is not installed. Use only the standard library."]
    if not row.loads:
        return [row.reason]
    cases = dict(suite.cases)
    failed = [(name, check) for name, check in row.checks.items() if not check.passed]
    failed.sort(key=lambda item: item[0] in cases and not cases[item[0]].trusted)
    return [f"{cases[name].check if name in cases else name}\n{check.message}" for name, check in failed]
