"""What the model is told. Small, and growing only at the end, so that the server's prefix cache is reused.

Every prompt of a job begins alike (system line, request, context); the role line, which says what to write, comes last.
No clocks and no ids: the same request gives the same prompt. The assistant's turn is prefilled with a code fence.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from coder_agent.candidates import Style
from kitty_llm import Part, Prompt, Turn

SYSTEM = "You are a careful Python programmer."
FENCE = "```python\n"
STOP = ("\n```",)
STOP_AFTER_MODULE = (*STOP, "\ndef test_", "\nclass Test", "\nassert ", "\nprint(", "\nif __name__", "\nimport pytest")
"""Where the name to define is known, nothing after these belongs to the module; small models write them anyway."""
MOST_FAILURES_SHOWN = 2


@dataclass(frozen=True)
class Brief:
    """What every prompt of a job shares.

    `signature` is what to define, such as `primes_below(n)`, or None when that is left to the model. `example` is a
    call of the request's and what it gives, or None.
    """

    request: str
    module: str
    signature: str | None
    caller_tests: str | None
    files: Mapping[str, str]
    example: tuple[str, str] | None = None


def code_prompt(brief: Brief, style: Style = "plain", *, prefilled: bool = True) -> Prompt:
    """Asks for the module. The styles differ in the prefill alone, so that all share one prefix.

    The model goes straight to the code, or begins with comments: lists its steps, or explains an example (the
    request's, else one of its own). Samples that come to the same code by different ways support each other more than
    the same question asked twice.
    """
    defining = f" with `{brief.signature}`" if brief.signature else ""
    role = f"Write {brief.module}{defining}. Only the code, no tests."
    return Prompt(SYSTEM, (_user(brief, role),), FENCE + lead_of(brief, style) if prefilled else "")


def lead_of(brief: Brief, style: Style) -> str:
    """What the code of this style begins with."""
    if style == "because" and brief.example is not None:
        call, gives = brief.example
        return f"# {call} is {gives} because"
    if style == "because":
        name = re.match(r"(?:class )?(\w+)", brief.signature or "")
        return f"# For example, {name[1]}(" if name else "# For example,"
    return "# Steps:\n# 1." if style == "steps" else ""


def tests_prompt(brief: Brief, entry: str, signature: str, count: int, *, is_class: bool) -> Prompt:
    """Asks for checks from the request and the signature alone; the code is never shown.

    Args:
        signature: of what is to be checked, such as `f(x)`; of several functions, as `Brief.signature`.
    """
    if is_class:
        role = (
            f"Write {count} short pytest functions that check the class `{entry}`. "
            "They follow from the request alone and use small inputs. Do not write the class, do not import it."
        )
        return Prompt(SYSTEM, (_user(brief, role),), f"{FENCE}def test_")
    role = (
        f"Write {count} different checks of `{signature}`, one assert a line, like `assert {entry}(...) == ...`. "
        "They follow from the request alone. Use small inputs whose result you can work out exactly, and edge cases."
    )
    return Prompt(SYSTEM, (_user(brief, role),), f"{FENCE}assert {entry}({_first_bracket(brief, entry)}")


def _first_bracket(brief: Brief, entry: str) -> str:
    """What the first argument of the example begins with where that is a bracket, so that the model calls alike."""
    call = brief.example[0] if brief.example else ""
    begins = call.removeprefix(f"{entry}(")[:1]
    return begins if call.startswith(f"{entry}(") and begins in {"[", "{", "("} else ""


def value_prompt(brief: Brief, call: str) -> Prompt:
    """Asks what one call gives: one line, from the request alone."""
    role = f"What does `{call}` give? Complete the assert."
    return Prompt(SYSTEM, (_user(brief, role),), f"{FENCE}assert {call} ==")


def refine_prompt(brief: Brief, code: str, failures: Sequence[str]) -> Prompt:
    """Shows the code that was run and what went wrong, and asks for the whole module again."""
    shown = "\n\n".join(failures[:MOST_FAILURES_SHOWN])
    role = f"Running it showed:\n\n{shown}\n\nFind the mistake and write the complete corrected module {brief.module}."
    first = code_prompt(brief).turns
    return Prompt(SYSTEM, (*first, Turn("assistant", f"{FENCE}{code}```"), Turn("user", role)), FENCE)


def repair_prompt(brief: Brief, code: str, failures: Sequence[str]) -> Prompt:
    """Shows code that came with the task and what went wrong, and asks for the whole module again, little changed."""
    told = "\n\n".join(failures[:MOST_FAILURES_SHOWN])
    shown = f"Running it showed:\n\n{told}\n\n" if told else ""
    role = f"{shown}Find the mistake and write the complete corrected module {brief.module}. Change nothing else."
    given = Part(f"File {brief.module}:\n```python\n{code}```\n")
    request, *others = _user(brief, role).parts
    return Prompt(SYSTEM, (Turn("user", parts=(request, given, *others)),), FENCE)


def outline_prompt(brief: Brief, outline: str) -> Prompt:
    """Asks for the module by what its functions are called and say of themselves; their code is not shown."""
    role = f"Write the complete module {brief.module}, with the same names."
    given = Part(f"File {brief.module}, to be filled in:\n```python\n{outline}```\n")
    request, *others = _user(brief, role).parts
    return Prompt(SYSTEM, (Turn("user", parts=(request, given, *others)),), FENCE)


def anew_prompt(brief: Brief, failure: str) -> Prompt:
    """Asks for the module as `code_prompt` does, beginning with a comment that says what an earlier answer got wrong.

    That answer is not shown: small models copy what they are shown (docs/decisions/0009-other-ways-and-refining.md).
    """
    return replace(code_prompt(brief), prefill=f"{FENCE}# Mind: {failure}\n")


def plan_prompt(brief: Brief) -> Prompt:
    """Asks for a short list of steps, as JSON by `PLAN_SCHEMA`."""
    return Prompt(SYSTEM, (_user(brief, "List the steps of a solution as a JSON list of 2 to 5 short sentences."),))


PLAN_SCHEMA = {"type": "array", "items": {"type": "string", "maxLength": 120}, "minItems": 2, "maxItems": 5}


def summary_prompt(brief: Brief, code: str) -> Prompt:
    """Asks for a summary of the code in two sentences; the verdict is added by us, never by the model."""
    role = f"```python\n{code}```\n\nDescribe in at most two plain sentences what this module does. No code."
    return Prompt(SYSTEM, (_user(brief, role),))


def _user(brief: Brief, role: str) -> Turn:
    parts = [Part(f"{brief.request.strip()}\n\n---\n")]
    parts += [Part(f"File {path}:\n```\n{text}\n```\n", trimmable=True) for path, text in sorted(brief.files.items())]
    if brief.caller_tests:
        parts.append(Part(f"These tests must pass:\n```python\n{brief.caller_tests.strip()}\n```\n", trimmable=True))
    return Turn("user", parts=(*parts, Part(role)))
