"""Values that a request shows in comments of its code: `nums = [1, 1]` and below it `mode(nums)  # -> 1`."""

import ast
import re
from collections.abc import Iterable, Iterator

from coder_agent.reading.cases import parsed_expression
from coder_agent.reading.literals import Scanner
from coder_agent.reading.terminal import FENCE

COMMENTED = re.compile(
    r"(?P<code>[A-Za-z_][^\n#]{0,300}[)\w])[ \t]+\#[ \t]*(?P<arrow>[-=]{1,2}>|→|==|returns?\b:?)?[ \t]*"
)
READERS = re.compile(r"(?:get|is|has|peek|pop|size|count|len|to|contains|top|front|find)(?:_|\b)|as_")
"""Methods whose comment is what they give. Behind another, as in `s.push(1)  # [1]`, it may be what they leave."""


def with_shown_values(lines: Iterable[str]) -> Iterator[str]:
    """`lines` with each line of a fence that shows the value of a call as the assert that it means."""
    in_fence = False
    for line in lines:
        in_fence ^= FENCE.match(line) is not None
        shown = COMMENTED.match(line) if in_fence else None
        yield (_as_assert(line, shown) or line) if shown else line


def _as_assert(line: str, shown: re.Match[str]) -> str | None:
    value = Scanner(line).literal(shown.end())
    if value is None or line[value[1] :].strip():
        return None
    match parsed_expression(shown["code"]):
        case ast.Call(func=ast.Name(id=name)):
            is_value = name != "print"
        case ast.Call(func=ast.Attribute(attr=name)):
            is_value = shown["arrow"] is not None or READERS.match(name) is not None
        case ast.Attribute():
            is_value = True
        case _:
            is_value = False
    return f"assert {shown['code']} == {value[0]}" if is_value else None
