"""Examples in the words of a test framework: `self.assertEqual(f(1), 2)`, `expect(f(1)).toBe(2)`."""

import ast
import re

from coder_agent.reading.cases import Case, is_literal, parsed_expression, value_case, written
from coder_agent.reading.literals import Scanner
from coder_agent.reading.plain_calls import is_plain_call

EQUALITIES = frozenset({"assertEqual", "assertEquals", "assert_equal", "expect"})
MATCHER = re.compile(r"\.(?:toBe|toEqual|toStrictEqual|to_equal|to_be)\(\s*")


def matched(scanner: Scanner, name: str, source: str, end: int) -> Case | None:
    """What the call `source` of one of EQUALITIES, which ends at `end`, wants; None where that is not plain."""
    node = parsed_expression(source)
    arguments = node.args if isinstance(node, ast.Call) and not node.keywords else []
    if name == "expect":
        matcher = MATCHER.match(scanner.text, end)
        found = scanner.literal(matcher.end()) if matcher else None
        if found is None or not re.match(r"\s*\)", scanner.text[found[1] : found[1] + 9]):
            return None
        arguments = [*arguments, *filter(None, [parsed_expression(found[0])])]
    if len(arguments) != 2:
        return None
    call, expected = arguments if isinstance(arguments[0], ast.Call) else reversed(arguments)
    left, right = written(call), written(expected)
    is_plain = is_plain_call(call) and is_literal(expected)
    return value_case(left, right) if is_plain and left and right else None
