"""What a coding tool made, as the person gets it: verbatim, never through the model. Pure."""

from collections.abc import Mapping
from typing import Any

from brain.door import Outcome
from kitty_core.delivery import fenced, summary_of

CODING = "coding."
GENERATE = "coding_generate"


def is_coding(tool: str) -> bool:
    """Whether the tool works on code; `tool` in either spelling."""
    return tool.replace("_", ".", 1).startswith(CODING)


def delivered(outcome: Outcome) -> str:
    """Markdown: the summary, then the code in a fence that it cannot close."""
    result: Mapping[str, Any] = outcome.result if isinstance(outcome.result, Mapping) else {}
    lines = [_summary(outcome, result)]
    if code := code_of(outcome):
        lines.append(fenced(code, "python"))
    return "\n\n".join(line for line in lines if line)


def code_of(outcome: Outcome) -> str | None:
    """The code; where a problem document tells a failure, `code` is its name unless that stands in `error_code`."""
    result = outcome.result if isinstance(outcome.result, Mapping) else {}
    code = result.get("code")
    if outcome.kind == "failed" and "error_code" not in result:
        return None
    return code if isinstance(code, str) and code else None


def _summary(outcome: Outcome, result: Mapping[str, Any]) -> str:
    said = summary_of(result)
    if outcome.kind == "failed":
        failure = f"{outcome.tool} failed ({outcome.status}): {outcome.detail}"
        return f"{failure}\n\n{said}" if said else failure
    return said or f"{outcome.tool}: {outcome.status}."
