"""What a request says of every result: "returns a sorted list", "without duplicates", "raises ValueError if n < 0".

A property is read only where it is plainly said of what the one function returns, without a condition, and where no
example of the request contradicts it. One that is missed costs little, one that is misread refuses right code.
"""

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass

from coder_agent.reading.cases import parsed_expression
from coder_agent.reading.examples import Reading
from coder_agent.reading.given_code import given_definitions, without_finished
from coder_agent.reading.said_of_errors import said_of_errors
from coder_agent.reading.said_of_results import said_of_results

UNCHANGED = re.compile(
    r"""(?:\bwithout\s(?:modifying|mutating|changing|altering)
        |\b(?:must|should|does|do|shall)(?:\snot|n['’]t)\s(?:modify|mutate|change|alter))
        \s(?:the\s|its\s)?(?:input|original|argument|given|passed)(?:s|\slist|\sargument)?\b
      | \bleav(?:e|es|ing)\s(?:the\s)?(?:input|original|argument)\w*(?:\slist)?\s
        (?:unchanged|untouched|unmodified|as\sis)""",
    re.VERBOSE | re.IGNORECASE,
)
ANNOTATED = re.compile(
    r"\s{0,9}->\s{0,9}`?(list|tuple|dict|set|str|bool|int)\b(?:\[[^\n|:]*\])?`?\s{0,9}(?:[:.,;)\n]|\Z)", re.IGNORECASE
)


@dataclass(frozen=True)
class Property:
    """Something that holds for every ordinary call.

    `check` is source of statements over `result`, `args` (the arguments, copied before the call) and `passed` (the same
    arguments as the call left them). With `raises`, it holds for calls where the expression `when` over `args` is true,
    and says that the call raises that; `check` is empty then. Ordinary calls are those of no such `when`.
    """

    name: str
    check: str
    raises: str | None = None
    when: str | None = None


def read_properties(request: str, reading: Reading) -> tuple[Property, ...]:
    """The properties that `request`, read as `reading`, states of its one function; of others none."""
    if reading.kind != "function":
        return ()
    text = without_finished(request.replace("\r\n", "\n"), given_definitions(request))
    found = [*_annotated(text, reading), *_of_results(text, reading)]
    if UNCHANGED.search(text):
        found.append(Property("argument_unchanged", "assert passed == args"))
    for error in said_of_errors(text, reading.signature):
        found.append(Property(error.name, "", error.exception, error.when))
    names = dict.fromkeys(found)
    return tuple(one for one in names if all(_agrees(one, case.call, case.expected) for case in reading.examples))


def _annotated(text: str, reading: Reading) -> Iterator[Property]:
    """The type that the signature promises."""
    for start in re.finditer(rf"\b{re.escape(reading.entry)}\([^()\n]*\)", text) if reading.entry else ():
        returns = ANNOTATED.match(text, start.end())
        if returns:
            name = returns.group(1).lower()
            yield Property(f"is_{name}", f"assert isinstance(result, {name})")
            return


def _of_results(text: str, reading: Reading) -> Iterator[Property]:
    return (Property(said.name, said.check) for said in said_of_results(text, reading.entry))


def _agrees(stated: Property, call: str | None, expected: str | None) -> bool:
    """Whether the example is one of what the property says."""
    node = parsed_expression(call or "")
    value = parsed_expression(expected or "")
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or value is None or node.keywords:
        return True
    try:
        args = tuple(ast.literal_eval(argument) for argument in node.args)
        names = {"result": ast.literal_eval(value), "args": args, "passed": copy.deepcopy(args)}
        if stated.when is not None:
            return not eval(stated.when, names)  # noqa: S307  # our own text, on values
        exec(stated.check, names)  # noqa: S102  # our own text, on values
    except (ValueError, TypeError, IndexError, RecursionError, MemoryError):
        return True
    except AssertionError:
        return False
    return True
