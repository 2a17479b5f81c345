"""A result in words: the verdict, what it rests on, what it cost. Pure."""

from collections.abc import Mapping
from typing import Any

Result = Mapping[str, Any]

VERDICTS = {
    "verified": "Verified",
    "tests_failed": "Tests failed",
    "not_verified": "Not verified",
    "budget_exhausted": "Out of time, not verified",
    "sandbox_unavailable": "Not run: there is no sandbox",
    "model_unavailable": "No model answered",
    "cancelled": "Cancelled",
    "deadline": "Out of time",
}
EVIDENCE = (
    ("caller_tests", "of yours"),
    ("examples", "from examples in the request"),
    ("generated_tests", "generated"),
)


def verdict_words(result: Result) -> str:
    verdict = str(result.get("verdict", ""))
    return VERDICTS.get(verdict, verdict or "No verdict")


def evidence_words(result: Result) -> str:
    """What was run, such as `tests: 2 from examples in the request, 3 generated; agreement 1.00`."""
    evidence = result.get("evidence")
    if not isinstance(evidence, Mapping):
        return str(evidence or "")
    counted = [f"{evidence[key]} {words}" for key, words in EVIDENCE if evidence.get(key)]
    tests = f"tests: {', '.join(counted)}" if counted else "no test was run"
    extra = [
        f"{name.replace('_', ' ')} {evidence[name]:.2f}"
        for name in ("agreement", "mutation_score")
        if isinstance(evidence.get(name), int | float)
    ]
    return "; ".join([tests, *extra])


def cost_words(result: Result) -> str:
    """Tokens and time, as far as they are known."""
    usage = result.get("usage")
    if not isinstance(usage, Mapping):
        return ""
    parts = []
    if usage.get("completion_tokens") is not None:
        parts.append(f"{usage.get('prefill_tokens', 0)} + {usage['completion_tokens']} tokens")
    seconds = usage.get("seconds")
    total = sum(seconds.values()) if isinstance(seconds, Mapping) else seconds
    if isinstance(total, int | float):
        parts.append(f"{total:.1f} s")
    return " in ".join(parts)


def facts(result: Result) -> list[tuple[str, str]]:
    """Label and text of what is known, for the panel."""
    confidence = result.get("confidence")
    rows = [
        ("evidence", evidence_words(result)),
        ("confidence", f"{confidence:.2f}" if isinstance(confidence, int | float) else ""),
        ("model", str(result.get("model") or "")),
        ("cost", cost_words(result)),
        ("sha256", str(result.get("code_sha256") or "")[:12]),
    ]
    return [(label, text) for label, text in rows if text]


def verdict_line(result: Result) -> str:
    """Everything in one line."""
    return " · ".join([verdict_words(result), *(f"{label} {text}" for label, text in facts(result))])
