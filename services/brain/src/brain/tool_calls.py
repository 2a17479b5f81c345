"""Tool calls in whatever text format a model writes them when its backend ignores the schema.

text ─> outside of <think> … </think> ─┬─ calls or an answer ─────────────> Parsed
                                       └─ nothing at all ─> inside of it ──> Parsed

Understood: bare and fenced JSON, `<tool_call>…</tool_call>`, `[TOOL_CALLS] […]`, `{"tool", "parameters"}`,
`{"tool", …}` with its arguments beside it, `{"name", "arguments"}`, `{"function": {"name", "arguments"}}`,
`Action:` with `Action Input:` (in any case, on one line or several), several calls,
arguments as a string of JSON, and the liberties of `relaxed_json`. Only what a model wrote may be given to `parse`:
never the text of the user or of a tool.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from brain.relaxed_json import read_value

NAMES = ("tool", "name", "tool_name", "function", "action")
NEED_ARGUMENTS = frozenset({"name", "function", "action"})
"""Members that mean many things; they name a tool only where arguments come with them."""
ARGUMENTS = ("arguments", "parameters", "args", "input", "tool_input", "action_input")
LISTS = ("tool_calls", "calls")
THOUGHTS = re.compile(r"<think(?:ing)?>(.*?)(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
LOST_THOUGHTS = re.compile(r"\A(.*?)</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
"""Templates write the opening mark themselves; then only the closing one is in the answer."""
ACTION = (
    r"(?<!\S)\**Action[ \t*]*:[ \t*]*[`\"']?(?P<action>[\w.\-]+)[`\"']?"
    r"(?:[ \t*,;]*\r?\n\s*\**|[ \t*,;]+)Action[ _]?Input[ \t*]*:[ \t*]*"
)
BEGIN = re.compile(rf"[{{\[]|{ACTION}", re.IGNORECASE)
AFTER_INPUT = re.compile(r"^[ \t*]*(?:Observation|Thought|Action|Final Answer)[ \t*]*:", re.MULTILINE | re.IGNORECASE)
"""Where an input in plain text ends."""
FENCED = re.compile(r"```\w*\s*(.*?)\s*(?:```|\Z)", re.DOTALL)
COMMENTS = frozenset({"thought", "thoughts", "reasoning"})
"""Members beside a tool's name that are no arguments."""
MARKS = re.compile(r"</?tool_call>|\[/?TOOL_CALLS\]|```(?:json|tool_call|tool)?", re.IGNORECASE)
TOOL_NAME = re.compile(r"[A-Za-z][\w.\-]{0,99}", re.ASCII)
BARE = "input"
"""The argument that text which is no JSON is given as."""


@dataclass(frozen=True)
class ToolCall:
    """A call that a model wrote. `raw` is its text, as it stands."""

    name: str
    arguments: Mapping[str, Any] = field(hash=False)
    raw: str = field(default="", compare=False)


@dataclass(frozen=True)
class Parsed:
    """What a model's text says: calls, or an answer (`{"answer": …}`, or the plain text), never both."""

    calls: tuple[ToolCall, ...]
    answer: str | None
    is_done: bool = False
    """It wrote `{"answer": true}`: it wants to answer, and has not yet."""


def parse(text: str) -> Parsed:
    """Reads `text`. Never raises."""
    found = list(_values(text))
    thoughts = _thoughts(_masked(text, found))
    aloud = [value for value in found if not any(begin <= value.begin < end for begin, end in thoughts)]
    said = _read(aloud)
    if said.calls or said.is_done or said.answer:
        return said
    spoken = _without(text, thoughts).strip()
    if MARKS.sub("", spoken).strip():
        return Parsed((), spoken)
    inside = _read([value for value in found if value not in aloud])
    return inside if inside.calls or inside.is_done else Parsed((), None)


def without_thoughts(text: str) -> str:
    """`text` without what stands between think marks."""
    return _without(text, _thoughts(text)).strip()


@dataclass(frozen=True)
class _Value:
    value: Any
    begin: int
    end: int
    raw: str


def _read(values: list[_Value]) -> Parsed:
    calls: list[ToolCall] = []
    for found in values:
        of_this = list(_calls_in(found.value, found.raw))
        if not of_this and not calls and isinstance(found.value, dict) and "answer" in found.value:
            answer = found.value["answer"]
            return Parsed((), answer if isinstance(answer, str) else None, is_done=not isinstance(answer, str))
        calls += of_this
    return Parsed(tuple(calls), None)


def _values(text: str) -> Iterator[_Value]:
    """Every whole JSON value of `text` that is an object or a list, and every action, from left to right."""
    at = 0
    while begun := BEGIN.search(text, at):
        begin = begun.start()
        if begun["action"]:
            value, at = _action_input(text, begun.end())
            yield _Value({"tool": begun["action"], "arguments": value}, begin, at, text[begin:at])
        elif found := read_value(text, begin):
            value, at = found
            yield _Value(value, begin, at, text[begin:at])
        else:
            at = begin + 1


def _masked(text: str, found: list[_Value]) -> str:
    """`text` of the same length in which no value shows: a think mark inside a string is not one."""
    pieces, at = [], 0
    for value in found:
        pieces += [text[at : value.begin], " " * (value.end - value.begin)]
        at = value.end
    return "".join(pieces) + text[at:]


def _thoughts(text: str) -> list[tuple[int, int]]:
    if "<think" not in text.lower() and (lost := LOST_THOUGHTS.match(text)):
        return [lost.span()]
    return [found.span() for found in THOUGHTS.finditer(text)]


def _without(text: str, thoughts: list[tuple[int, int]]) -> str:
    begins = [0, *(end for _, end in thoughts)]
    ends = [*(begin for begin, _ in thoughts), len(text)]
    return "".join(text[begin:end] for begin, end in zip(begins, ends, strict=True))


def _action_input(text: str, at: int) -> tuple[Any, int]:
    if text[at : at + 1] == "{" and (found := read_value(text, at)):
        return found
    fence = re.compile(r"\s*```(?:json)?\s*").match(text, at)
    if fence and text[fence.end() : fence.end() + 1] == "{" and (found := read_value(text, fence.end())):
        return found
    after = AFTER_INPUT.search(text, at)
    end = after.start() if after else len(text)
    said = text[at:end].strip()
    fenced = FENCED.match(said)
    return fenced[1] if fenced else said, end


def _calls_in(value: Any, raw: str) -> Iterator[ToolCall]:
    if isinstance(value, list):
        for member in value:
            yield from _calls_in(member, raw) if isinstance(member, dict) else ()
    elif isinstance(value, dict):
        several = next((value[key] for key in LISTS if isinstance(value.get(key), list)), None)
        if several is not None:
            yield from _calls_in(several, raw)
        elif isinstance(value.get("function"), dict):
            yield from _calls_in(value["function"], raw)
        elif call := _call(value, raw):
            yield call


def _call(value: Mapping[str, Any], raw: str) -> ToolCall | None:
    given = next((value[key] for key in ARGUMENTS if key in value), None)
    for key in NAMES:
        name = value.get(key)
        if isinstance(name, str) and TOOL_NAME.fullmatch(name) and (given is not None or key not in NEED_ARGUMENTS):
            return ToolCall(name, _beside(value, key) if given is None else _arguments(given), raw)
    return None


def _beside(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The arguments of a call that gives them beside the tool's name."""
    return {name: member for name, member in value.items() if name != key and name not in {*COMMENTS, *ARGUMENTS}}


def _arguments(given: Any) -> Mapping[str, Any]:
    if isinstance(given, str):
        inner = read_value(given)
        if inner and isinstance(inner[0], dict) and not given[inner[1] :].strip():
            return dict(inner[0])
        return {BARE: given} if given.strip() else {}
    if isinstance(given, Mapping):
        return given
    return {} if given is None else {BARE: given}
