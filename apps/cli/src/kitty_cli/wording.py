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
    """What was run, such as `tests: 2 from examples in the request, 3 generated; agreement 1.00`.

    One candidate alone agrees with nobody: then nothing is said of agreement.
    """
    evidence = result.get("evidence")
    if not isinstance(evidence, Mapping):
        return str(evidence or "")
    counted = [f"{evidence[key]} {words}" for key, words in EVIDENCE if evidence.get(key)]
    none = "no test that counts" if evidence.get("generated_written") else "no test was run"
    tests = f"tests: {', '.join(counted)}" if counted else none
    told = ("agreement", "mutation_score") if _number(evidence.get("candidates")) > 1 else ("mutation_score",)
    extra = [
        f"{name.replace('_', ' ')} {evidence[name]:.2f}" for name in told if isinstance(evidence.get(name), int | float)
    ]
    return "; ".join([tests, *extra])


def cost_words(result: Result) -> str:
    """Tokens and time, as far as they are known: of the whole job, else of the model alone."""
    usage = result.get("usage")
    if not isinstance(usage, Mapping):
        return ""
    parts = []
    if usage.get("completion_tokens") is not None:
        parts.append(f"{usage.get('prefill_tokens', 0)} tokens read, {usage['completion_tokens']} written")
    total, by_step = usage.get("total_seconds"), usage.get("seconds")
    if isinstance(total, int | float):
        parts.append(f"{total:.1f} s")
    elif isinstance(by_step, Mapping):
        parts.append(f"{sum(by_step.values()):.1f} s of the model's time")
    return " in ".join(parts)


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else 0


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
