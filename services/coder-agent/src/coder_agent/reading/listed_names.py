"""Several functions asked for at once: "functions push(x), pop() and peek()", or a list of signatures."""

import re
from collections.abc import Iterator

from coder_agent.reading.literals import Scanner
from coder_agent.reading.naming import ARTICLES, VERB, is_name

MOST_LISTS = 30
LISTS = re.compile(rf"\bfunctions:?,?\s+(?:(?:called|named)\s+)?(?=[`'\"]?[A-Za-z])|{VERB}{ARTICLES}", re.IGNORECASE)
ITEM = re.compile(r"[`'\"]?([A-Za-z_]\w*)(\()?")
BETWEEN = re.compile(r"[`'\"]?(?:\s*->\s*[\w\[\], ]+?)?\s*(?:,|&|\band\b|,\s*and\b)\s*(?=[`'\"]?[A-Za-z_])")
SIGNED_ITEM = re.compile(r"^[ \t]*(?:[-*+•]|\d+[.)])[ \t]+[`*]*([A-Za-z_]\w*)\(", re.MULTILINE)
INTRODUCED = re.compile(rf"\b(?:functions|helpers)\b|{VERB}[^\S\n]{{0,9}}:?[^\S\n]{{0,9}}\n", re.IGNORECASE)


def listed_names(request: str) -> tuple[str, ...]:
    """The names of lists with two or more of them; none where they might be plain words."""
    scanner = Scanner(request)
    found: list[str] = []
    for _, start in zip(range(MOST_LISTS), LISTS.finditer(request), strict=False):
        names = list(_names(scanner, start.end()))
        if len(names) > 1:
            found += names
    signed = list(dict.fromkeys(SIGNED_ITEM.findall(request))) if INTRODUCED.search(request) else []
    return tuple(dict.fromkeys([*found, *(signed if len(signed) > 1 else [])]))


def _names(scanner: Scanner, position: int) -> Iterator[str]:
    text = scanner.text
    while item := ITEM.match(text, position):
        name, end = item.group(1), item.end()
        if item.group(2):
            closed = scanner.end(end - 1)
            if closed is None:
                return
            end = closed
        is_function = item.group(2) or re.search(rf"\b{name}\(", text)
        if not is_function or not is_name(name):
            return
        yield name
        between = BETWEEN.match(text, end)
        if between is None:
            return
        position = between.end()
