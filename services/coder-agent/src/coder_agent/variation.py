"""Inputs nobody wrote: the arguments of known calls, varied by type, and the words of what scripts read.

Candidates that agree on every example may still be different programs. Where they part on a varied input, at most one
of them is right (S*, arXiv 2502.14382, asks a model for such inputs; varying the known ones costs no token).
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, zip_longest
from typing import Any

from coder_agent.reading.cases import parsed_expression

MOST_CALLS = 16
MOST_TEXTS = 8
MOST_TRIED = 200
"""Calls made of one call, of which the first few that differ are taken."""
WRAPPERS = {"list", "asyncio.run"}
"""What stands around the call of a generator or a coroutine; the call inside is varied."""

Change = Callable[[Any], Any]


def varied_calls(calls: Iterable[str]) -> list[str]:
    """Calls like `calls` with one argument changed, at most MOST_CALLS, spread over all calls and arguments.

    What goes with a changed sequence is kept in step: another one of its length, and a number that is its length.
    """
    return list(dict.fromkeys(in_turns([calls_with(call, _with_one_changed) for call in calls])))[:MOST_CALLS]


def varied_texts(texts: Iterable[str]) -> list[str]:
    """Texts like `texts` with one word or number changed, at most MOST_TEXTS.

    A number alone on its line that counts the other lines, or the words of one, is left as it is.
    """
    return list(dict.fromkeys(in_turns([list(_text_variants(text)) for text in texts])))[:MOST_TEXTS]


def _text_variants(text: str) -> Iterator[str]:
    lines = text.splitlines()
    counts = {str(len(lines) - 1), *(str(len(line.split())) for line in lines if len(lines) > 1)}
    words = [word for word in re.finditer(r"\S+", text) if word[0] not in counts or word[0] not in lines]
    changed = in_turns([[(word, new) for new in _other_words(word[0])] for word in words])
    return (f"{text[: word.start()]}{new}{text[word.end() :]}" for word, new in changed)


def _other_words(word: str) -> list[str]:
    try:
        number = int(word)
    except ValueError:
        new = [word.swapcase(), word[::-1], word[:-1] or word]
    else:
        new = [str(change(number)) for change in _changes(number)]
    return [other for other in new if other != word]


def in_turns(rows: Iterable[Iterable[Any]]) -> Iterator[Any]:
    """The first of each row, then the second of each, and so on."""
    missing = object()
    return (item for turn in zip_longest(*rows, fillvalue=missing) for item in turn if item is not missing)


def calls_with(call: str, others: Callable[[Sequence[Any], int], Iterable[Sequence[Any]]]) -> list[str]:
    """`call` with each of what `others(its arguments, a position)` gives, the positions in turns.

    Keywords stay. None where an argument is not literal.
    """
    try:
        node = parsed_expression(call)
        if not isinstance(node, ast.Call):
            return []
        if ast.unparse(node.func) in WRAPPERS and len(node.args) == 1 and isinstance(node.args[0], ast.Call):
            return [f"{ast.unparse(node.func)}({inner})" for inner in calls_with(ast.unparse(node.args[0]), others)]
        values = [ast.literal_eval(argument) for argument in node.args]
        name = ast.unparse(node.func)
        named = [ast.unparse(keyword) for keyword in node.keywords]
        changed = in_turns([others(values, position) for position in range(len(values))])
        written = (_written(arguments) for arguments in islice(changed, MOST_TRIED))
        return [f"{name}({', '.join([*texts, *named])})" for texts in written if texts is not None]
    except (ValueError, TypeError, RecursionError, MemoryError):
        return []


def _written(values: Sequence[Any]) -> list[str] | None:
    """Each of `values` as source; None where one has none, as infinity in a list."""
    texts = [ast.unparse(ast.Constant(value)) if isinstance(value, float) else repr(value) for value in values]
    try:
        for text in texts:
            ast.literal_eval(text)
    except ValueError:
        return None
    return texts


def _with_one_changed(values: Sequence[Any], position: int) -> Iterator[list[Any]]:
    value = values[position]
    if is_length(value, [*values[:position], *values[position + 1 :]]):
        return
    for change in _changes(value):
        new = change(value)
        if new != value:
            others = (_in_step(other, value, new, change) for other in values)
            yield [new if at == position else other for at, other in enumerate(others)]


def _in_step(other: Any, old: Any, new: Any, change: Change) -> Any:
    if not isinstance(old, list | tuple | str) or len(old) == len(new):
        return other
    is_alike = isinstance(other, str) if isinstance(old, str) else isinstance(other, list | tuple)
    if is_alike and len(other) == len(old):
        return change(other)
    return len(new) if is_length(other, [old]) else other


def is_length(value: Any, others: Iterable[Any]) -> bool:
    """Whether `value` is the length of one of `others`, and so is hardly meant to change alone."""
    return type(value) is int and any(isinstance(other, list | tuple) and len(other) == value for other in others)


def _changes(value: Any) -> Sequence[Change]:
    match value:
        case bool():
            return (lambda flag: not flag,)
        case int() | float():
            # 1 is where a start or an end is missed; 0 and below are often outside of what a request is about.
            return (lambda number: number + 1, lambda number: 1, lambda number: number * 2, lambda number: number + 10)
        case str() if value:
            return (
                str.swapcase,
                _with_other_case,
                str.title,
                _reversed,
                _without_last,
                _without_first,
                _without_middle,
            )
        case list() | tuple() if value:
            return (_reversed, _doubled, _each_changed, _without_first, _middle_swapped, _without_last, _middle_changed)
        case set() if value:
            return (
                lambda items: set(_each_changed(sorted(items, key=repr))),
                lambda items: set(sorted(items, key=repr)[1:]),
            )
        case dict() if value:
            return (_each_value_changed, _without_first_item, _without_last_item)
        case _:
            return ()


def _with_other_case(text: str) -> str:
    return f"{text} {text.swapcase()}"


def _reversed(sequence: Any) -> Any:
    return sequence[::-1]


def _doubled(sequence: Any) -> Any:
    return sequence * 2


def _each_value_changed(items: Any) -> Any:
    return dict(zip(items, _each_changed(list(items.values())), strict=True))


def _without_first_item(items: Any) -> Any:
    return dict(list(items.items())[1:])


def _without_last_item(items: Any) -> Any:
    return dict(list(items.items())[:-1])


def _without_first(sequence: Any) -> Any:
    return sequence[1:]


def _without_last(sequence: Any) -> Any:
    return sequence[:-1]


def _without_middle(sequence: Any) -> Any:
    return sequence[: len(sequence) // 2] + sequence[len(sequence) // 2 + 1 :]


def _middle_swapped(sequence: Any) -> Any:
    """With the two in the middle exchanged: an order that is nearly kept."""
    middle = max(1, len(sequence) // 2)
    return (
        sequence[: middle - 1] + sequence[middle : middle + 1] + sequence[middle - 1 : middle] + sequence[middle + 1 :]
    )


def _each_changed(sequence: Any) -> Any:
    """With the first change of each element's kind: extremes change too, which the other changes leave alone."""
    return type(sequence)(changes[0](item) if (changes := _changes(item)) else item for item in sequence)


def _middle_changed(sequence: Any) -> Any:
    middle = len(sequence) // 2
    changes = _changes(sequence[middle])
    changed = [change(sequence[middle]) for change in changes[:1]] or sequence[middle : middle + 1]
    return sequence[:middle] + type(sequence)(changed) + sequence[middle + 1 :]
