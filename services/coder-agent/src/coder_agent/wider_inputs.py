"""Inputs further away, for code that does the same on all that were varied: then comparing on these says nothing.

Small ones of each kind, because most faults show on small ones (Jackson, "Software Abstractions", 2006, the small scope
hypothesis), made of the letters and words that request and example name; and arguments made of one another, because
what relates two of them seldom holds by chance.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any

from coder_agent.variation import calls_with, in_turns, is_length

MOST_CALLS = 40
SMALL_NUMBERS = range(2, 17)
MOST_LETTERS = 2
"""Letters, or elements, that small texts and sequences are made of."""
LONGEST_TEXT, LONGEST_SEQUENCE = 4, 3
MOST_QUOTED = 20
QUOTED = re.compile(r"(?<!\w)(['\"`])([^'\"`\n]{1,20})\1(?!\w)")
LETTER = re.compile(r"(?<!\S)(?![aAI])([A-Za-z])(?![^\s.,])")
"""One that stands alone, and is no word."""


def wider_calls(calls: Iterable[str], request: str) -> list[str]:
    """Calls like `calls` with one argument small, or made of another one; at most MOST_CALLS, spread over all.

    Args:
        calls: as source, arguments literal; others are left out.
        request: the first words it quotes, and letters that stand alone in it, become parts of texts.
    """
    quoted = list(dict.fromkeys(text for _, text in QUOTED.findall(request)))[:MOST_QUOTED]
    letters = [*(text for text in quoted if len(text) == 1), *LETTER.findall(request)]
    words = [text for text in quoted if len(text) > 1]

    def others(values: Sequence[Any], position: int) -> Iterator[list[Any]]:
        value, rest = values[position], [*values[:position], *values[position + 1 :]]
        if not is_length(value, rest):
            new = in_turns([_of_the_others(value, rest), _small(value, letters, words)])
            yield from (_with(values, position, one) for one in new if one != value)

    return list(dict.fromkeys(in_turns([calls_with(call, others) for call in calls])))[:MOST_CALLS]


def _with(values: Sequence[Any], position: int, new: Any) -> list[Any]:
    """`values` with `new` in that position, and in place of the old one's length its own."""
    old = values[position]
    kept = (len(new) if is_length(value, [old]) else value for value in values)
    return [new if at == position else value for at, value in enumerate(kept)]


def _of_the_others(value: Any, others: Sequence[Any]) -> Iterator[Any]:
    for other in others:
        if not isinstance(other, list | tuple | str) or not other:
            continue
        if isinstance(other, str) is isinstance(value, str) and isinstance(value, list | tuple | str):
            parts = (other, other[: (len(other) + 1) // 2], other[1:-1], other[len(other) // 2 :])
            yield from (_like(value, part) for part in parts if part)
        else:
            yield from (one for one in (other[0], other[len(other) // 2], other[-1]) if type(one) is type(value))


def _like(value: Any, part: Any) -> Any:
    return part if isinstance(value, str) else type(value)(part)


def _small(value: Any, letters: Sequence[str], words: Sequence[str]) -> Iterator[Any]:
    match value:
        case bool():
            return
        case int():
            yield from SMALL_NUMBERS
        case str():
            yield from (text for word in words for text in (word, value + word, word + value))
            yield from map("".join, _made_of([*letters, *value], LONGEST_TEXT))
        case list() | tuple():
            yield from map(type(value), _made_of(value, LONGEST_SEQUENCE))


def _made_of(items: Sequence[Any], longest: int) -> Iterator[tuple[Any, ...]]:
    """Everything of the first few different ones, the short before the long."""
    few = list({repr(item): item for item in items}.values())[:MOST_LETTERS]
    for length in range(1, longest + 1):
        yield from product(few, repeat=length)
