"""What a tool made, in words for a person: code verbatim, in a fence that it cannot close. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any

SUMMARIES = ("final_answer", "summary", "explanation")


def in_markdown(result: Any, otherwise: str) -> str:
    """The summary and the code of a coding result, the output of a command, a text as it is, anything else as JSON.

    `otherwise` is said where a result has code or output but no words of its own.
    """
    if isinstance(result, str):
        return result
    if not isinstance(result, Mapping):
        return fenced(json.dumps(result, indent=2, ensure_ascii=False), "json")
    code = result.get("code")
    if isinstance(code, str) and code:
        return f"{summary_of(result) or otherwise}\n\n{fenced(code, 'python')}"
    streams = [result[name] for name in ("stdout", "stderr") if isinstance(result.get(name), str)]
    if streams:
        return "\n\n".join([summary_of(result) or otherwise, *(fenced(text, "") for text in streams if text)])
    return summary_of(result) or fenced(json.dumps(dict(result), indent=2, ensure_ascii=False), "json")


def fenced(text: str, language: str) -> str:
    """`text` in a fence longer than any row of backquotes in it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}{language}\n{text if text.endswith(chr(10)) else text + chr(10)}{fence}"


def summary_of(result: Mapping[str, Any]) -> str:
    """What a result says of itself; empty where it says nothing."""
    said = next((result[name] for name in SUMMARIES if result.get(name)), "")
    return said if isinstance(said, str) else ""
