"""Markdown tables whose columns are what is given and what comes out."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST_TABLES = 20
MOST_ROWS = 100
LONGEST_ROW = 1000
RULE = re.compile(
    r"[ \t]*\|?[ \t]*:?-{2,}:?[ \t]*(?:\|[ \t]*:?-{2,}:?[ \t]*)+\|?[ \t]*$|[ \t]*\|[ \t]*:?-+:?[ \t|:-]*$"
)
RESULT = re.compile(
    r"(?:the )?(?:(?:expected|desired|correct)\s*)?"
    r"(?:results?|outputs?|returns?|return value|returned|gives|value|answer|expected)",
    re.IGNORECASE,
)
REMARK = re.compile(r"notes?|comments?|remarks?|explanation|why|reason|description", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """The headings of what is given, and rows of cells: those given, then the result."""

    given: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(request: str) -> Iterator[Table]:
    """The tables of `request` that have a column for the result, after which only remarks come."""
    lines = [line if len(line) < LONGEST_ROW else "" for line in request.split("\n")]
    rules = (number for number, line in enumerate(lines) if number and "|" in line and RULE.match(line))
    for number in itertools.islice(rules, MOST_TABLES):
        headings = _cells(lines[number - 1])
        place = _result_column(headings)
        if place:
            rows = [_cells(row) for row in _body(lines, number + 1)]
            whole = [tuple(cells[: place + 1]) for cells in rows if len(cells) == len(headings)]
            yield Table(tuple(headings[:place]), tuple(whole))


def _result_column(headings: Sequence[str]) -> int | None:
    place = next((n for n, heading in enumerate(headings) if heading and RESULT.fullmatch(heading)), None)
    if place is None or not all(REMARK.fullmatch(heading) for heading in headings[place + 1 :]):
        return None
    return place


def _body(lines: Sequence[str], first: int) -> Iterator[str]:
    for line in lines[first : first + MOST_ROWS]:
        if "|" not in line:
            return
        yield line


def _cells(line: str) -> list[str]:
    """The cells; `\\|` and bars in backticks belong to one."""
    parts = re.findall(r"(?:`[^`]*`|\\\||[^|`])+|`", line.strip().strip("|"))
    return [part.strip().strip("`").strip().replace("\\|", "|") for part in parts]
