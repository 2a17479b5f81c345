"""What the request says of every result, as cases: put to inputs nobody wrote.

A call that raises says nothing about results, so it is passed over; what must raise is a case of its own. The cases
choose between candidates; they are not delivered, as the examples and accepted tests say more to a person.
"""

import ast
import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from coder_agent.reading.cases import Case, parsed_expression
from coder_agent.reading.properties import Property
from coder_agent.variation import varied_calls

MOST_CALLS = 6
PROBES: tuple[Any, ...] = (-1, 0, -0.5, "", [], None)
"""What a request names when it says what must raise: each in place of an argument of its type, None of any."""
ORDINARY = """
import copy
for args in {calls}:
    passed = copy.deepcopy(args)
    try:
        result = {name}(*passed)
    except Exception:
        continue
    {check}
""".strip()
RAISING = """
for args in {calls}:
    with pytest.raises({raises}):
        {name}(*args)
""".strip()


def stated_cases(properties: Sequence[Property], calls: Sequence[str]) -> list[Case]:
    """A case for each of `properties` for which there is a call to put it to.

    Args:
        calls: known calls of the one function, such as `f([3, 1], 2)`; those with other than plain values are left out.
    """
    known = [found for call in [*calls, *varied_calls(calls)] if (found := _arguments(call)) is not None]
    if not known:
        return []
    name = known[0][0]
    errors = [stated for stated in properties if stated.when is not None]
    ordinary = [args for _, args in known if not any(_holds(stated, args) for stated in errors)][:MOST_CALLS]
    cases = [_case(stated, ORDINARY, name, ordinary) for stated in properties if stated.when is None and ordinary]
    for stated in errors:
        meant = [args for args in _probed(args for _, args in known) if _holds(stated, args)][:MOST_CALLS]
        cases += [_case(stated, RAISING, name, meant)] if meant else []
    return cases


def _case(stated: Property, template: str, name: str, calls: Sequence[tuple[Any, ...]]) -> Case:
    check = stated.check.replace("\n", "\n    ")
    return Case(
        template.format(calls=repr(list(calls)), name=name, check=check, raises=stated.raises),
        trusted=False,
        states=stated.name,
    )


def _arguments(call: str) -> tuple[str, tuple[Any, ...]] | None:
    node = parsed_expression(call)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.keywords:
        return None
    try:
        return node.func.id, tuple(ast.literal_eval(argument) for argument in node.args)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return None


def _probed(calls: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """The calls, and the first of them with one argument replaced by each probe."""
    for number, args in enumerate(calls):
        yield args
        for position in range(len(args)) if number == 0 else ():
            for probe in PROBES:
                if probe is not None and type(probe) is not type(args[position]):
                    continue
                yield (*args[:position], copy.copy(probe), *args[position + 1 :])


def _holds(stated: Property, args: tuple[Any, ...]) -> bool:
    """Whether `args` are among those for which the property says that the call raises."""
    try:
        return bool(eval(stated.when or "False", {"args": args}))  # noqa: S307  # our own text, on plain values
    except (TypeError, IndexError, ValueError):
        return False
