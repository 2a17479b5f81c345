"""What the request itself says must hold, read without a model.

`read_request` finds the name to define and every example the request states: asserts, doctests (`>>>`), and calls with
what they give (`f(2) == 4`, `f(2) -> 4`, `f(2) returns 4`, `f(-1) raises ValueError`). Examples are trusted tests: they
outrank anything a model writes. Nothing from the request is ever run here. Reading 20,000 characters takes well below a
second whatever they are.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from coder_agent.cases import Case, called_name, called_names, case_from_assert, parsed, raising_case, written
from coder_agent.literals import literal_prefix
from coder_agent.naming import asked_class, asked_function, is_aside, signature
from coder_agent.quoted_code import quoted_asserts, quoted_doctests
from coder_agent.stated_calls import stated_calls

__all__ = [
    "Case",
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


def read_request(request: str) -> Reading:
    """Read `request` (plain words, up to 20,000 characters) as above. Never raises."""
    request = request.replace("\r\n", "\n")
    class_name = asked_class(request)
    if class_name:
        # "pop() returns None if empty" is said of a method: only what makes an object says enough.
        code = _distinct(itertools.chain(quoted_asserts(request), quoted_doctests(request)))
        examples = tuple(case for case in code if class_name in called_names(case.check))
        return Reading(class_name, None, True, examples)
    cases = itertools.chain(quoted_asserts(request), quoted_doctests(request), stated_calls(request))
    found = list(_consistent(list(_distinct(cases))))
    called = tuple(dict.fromkeys(name for case in found for name in called_names(case.check)))
    entry = asked_function(request, called)
    asides = {name for name in called if name != entry and is_aside(request, name)}
    examples = tuple(case for case in found if not asides.intersection(called_names(case.check)))
    return Reading(entry, signature(request, entry) if entry else None, False, examples)


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
