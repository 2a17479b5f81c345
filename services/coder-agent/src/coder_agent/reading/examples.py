"""What the request itself says must hold, read without a model.

`read_request` finds what to define and every example the request states: asserts, doctests (`>>>`), calls with what
they give (`f(2) == 4`, `f(2) -> 4`, `f(2) returns 4`, `f(-1) raises ValueError`), inputs with their outputs, tables.
Examples are trusted tests: they outrank anything a model writes. Nothing from the request is ever run here. Reading
20,000 characters takes well below a second whatever they are.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from coder_agent.reading.cases import Case, called_name, called_names, case_from_assert, parsed, raising_case, written
from coder_agent.reading.given_code import Given, given_definitions
from coder_agent.reading.input_output import input_output_examples
from coder_agent.reading.kinds import Kind, as_kind, asked_kind
from coder_agent.reading.listed_names import listed_names
from coder_agent.reading.literals import literal_prefix
from coder_agent.reading.naming import asked_classes, asked_function, in_order_of_mention, is_aside, signature
from coder_agent.reading.quoted_code import quoted_asserts, quoted_doctests
from coder_agent.reading.scripts import script_examples
from coder_agent.reading.stated_calls import stated_calls

__all__ = [
    "Case",
    "Kind",
    "Reading",
    "called_name",
    "case_from_assert",
    "literal_prefix",
    "raising_case",
    "read_request",
]

MOST_EXAMPLES = 100


@dataclass(frozen=True)
class Reading:
    """What the request says: the name to define (None when it leaves that open), its signature, and its examples."""

    entry: str | None
    signature: str | None
    is_class: bool
    examples: tuple[Case, ...]
    kind: Kind = "function"
    names: tuple[str, ...] = ()
    """Every function or class to define, the entry first."""

    @property
    def to_define(self) -> tuple[str, ...]:
        """`names`; the entry alone where another has been settled since."""
        return self.names if self.entry in self.names else (self.entry,) if self.entry else ()


def read_request(request: str, module: str = "solution.py") -> Reading:
    """Read `request` (plain words, up to 20,000 characters) as above. Never raises.

    Args:
        module: the file the code goes to; examples of a script run it.
    """
    request = request.replace("\r\n", "\n")
    given = given_definitions(request)
    cases = itertools.chain(quoted_asserts(request), quoted_doctests(request), stated_calls(request))
    found = list(_consistent(list(_distinct(cases))))
    classes = asked_classes(request, given)
    if classes:
        return _reading_of_classes(classes, found)
    called = in_order_of_mention(request, (name for case in found for name in called_names(case.check)))
    entry = asked_function(request, called, given)
    names = _asked_names(request, entry, called, given)
    spelt = signature(request, entry) if entry else None
    kind = asked_kind(request, names, spelt)
    if kind == "script":
        return Reading(None, None, False, tuple(script_examples(request, module))[:MOST_EXAMPLES], kind)
    if entry and len(names) == 1:
        found = list(_consistent(list(_distinct([*found, *input_output_examples(request, entry, spelt)]))))
    own = (case for case in found if set(called_names(case.check)) <= set(names))
    return Reading(entry, spelt, False, _of_kind(own, kind, names), kind, names)


def _reading_of_classes(classes: tuple[str, ...], found: Sequence[Case]) -> Reading:
    """ "pop() returns None if empty" is said of a method: only what makes an object says enough."""
    own = (case for case in found if not set(called_names(case.check)).isdisjoint(classes))
    return Reading(classes[0], None, True, _of_kind(own, "class", classes), "class", classes)


def _asked_names(request: str, entry: str | None, called: Sequence[str], given: Sequence[Given]) -> tuple[str, ...]:
    finished = {definition.name for definition in given if not definition.is_stub}
    stubs = [definition.name for definition in given if definition.is_stub and not definition.is_class]
    own = [name for name in called if name not in finished and not is_aside(request, name)]
    others = in_order_of_mention(request, [*stubs, *own, *listed_names(request)])
    return tuple(dict.fromkeys(([entry] if entry else []) + list(others)))


def _of_kind(cases: Iterable[Case], kind: Kind, names: tuple[str, ...]) -> tuple[Case, ...]:
    return tuple(fitting for case in cases if (fitting := as_kind(case, kind, names)) is not None)


def _distinct(cases: Iterable[Case]) -> Iterator[Case]:
    """The first `MOST_EXAMPLES` cases that differ, and that Python can write back."""
    seen: set[str | None] = {None}
    texts: set[str] = set()
    for case in cases:
        tree = parsed(case.check) if case.check not in texts else None
        texts.add(case.check)
        key = written(tree) if tree else None
        if key not in seen:
            seen.add(key)
            yield case
        if len(seen) > MOST_EXAMPLES:
            return


def _consistent(cases: list[Case]) -> Iterator[Case]:
    """Without those that want different things of one call: it changes with time, or one of them is not meant."""
    wanted: dict[str, set[str]] = {}
    for case in cases:
        wanted.setdefault(_plainly(case.call), set()).add(case.raises or _plainly(case.expected))
    return (case for case in cases if case.call is None or len(wanted[_plainly(case.call)]) == 1)


def _plainly(source: str | None) -> str:
    tree = parsed(source or "")
    return (written(tree) if tree else None) or ""
