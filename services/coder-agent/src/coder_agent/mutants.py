"""Small faults put into a module, one at a time, to judge its tests by: good tests fail on most of them.

The operators follow the sufficient set of Offutt, Lee, Rothermel, Untch and Zapf ("An Experimental Determination of
Sufficient Mutant Operators", ACM TOSEM 5(2), 1996): relational, logical and arithmetic operators are replaced, unary
ones put in and taken out. Its fifth, the absolute value, needs types, which Python's source does not tell; in its place
stand constants, bounds and results. Deleting statements is Untch's ("On Reduced Neighborhood Mutation Analysis", 2009).

Left out, as far as the source shows it cheaply, is what no test sees (the same result by another way) and what any test
sees (a name that is not bound, `+` of texts made `-`, a loop that never ends and costs its whole time limit).
"""

import ast
import itertools
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass

from coder_agent.mutation_sites import SCOPES, Site, names_bound, names_read, place_of, sites_in, written_back
from coder_agent.source_text import parse, texts_of

TRIES = 3
"""Changes tried for each mutant asked for: what Python cannot write back costs time and gives none."""
LONGEST_SHOWN = 80
SPREAD = 0.6180339887498949
"""The golden ratio: places in the order of their multiples' fractions are spread evenly, wherever one stops."""


@dataclass(frozen=True)
class Mutant:
    """A module with one fault."""

    code: str
    line: int
    """Where the fault is in the module it was made of, from 1."""
    change: str
    """What was there and what is there now, such as `a < b → a <= b`; of statements the first line."""


def mutants(code: str, names: Collection[str], most: int) -> tuple[Mutant, ...]:
    """At most `most` faulty versions of the module `code`, in each of which one thing differs.

    Only what `names` define is changed, and what that uses of the module; only in functions and classes. The same
    arguments give the same mutants, no two of them alike, and each beginning of the answer is spread over the code.
    Code that does not compile, or that Python cannot write back, gives none.
    """
    code = code.replace("\r\n", "\n").replace("\r", "\n")
    with suppress(SystemError, ValueError, RecursionError, MemoryError):
        tree = parse(code)
        texts = list(texts_of(code, tree.body)) if tree else []
        if tree and most > 0 and parse("\n".join(texts)):
            tried = _spread([site for index, root in _reached(tree, names) for site in sites_in(index, root)])
            return tuple(itertools.islice(_written(tree, texts, tried[: TRIES * most]), most))
    return ()


def _spread(sites: list[Site]) -> list[Site]:
    """In an order of which each beginning is spread over the code."""
    sites.sort(key=lambda site: (site.index, place_of(site.node)))
    return [sites[number] for number in sorted(range(len(sites)), key=lambda number: number * SPREAD % 1)]


def _written(tree: ast.Module, texts: list[str], sites: list[Site]) -> Iterator[Mutant]:
    """The mutants that compile and differ from the module and from those before."""
    seen: dict[int, set[str]] = {}
    for site in sites:
        statement = tree.body[site.index]
        if site.index not in seen:
            seen[site.index] = {_rewritten(statement)[1]}
        site.put(site.other)
        text, dumped = _rewritten(statement)
        site.put(site.node)
        if dumped and dumped not in seen[site.index]:
            seen[site.index].add(dumped)
            blank = "\n" * (len(texts[site.index]) - len(texts[site.index].lstrip("\n")))
            changed = "\n".join([*texts[: site.index], blank + text, *texts[site.index + 1 :], ""])
            yield Mutant(changed, place_of(site.node)[0], f"{_shown(site.node)} → {_shown(site.other)}")


def _rewritten(statement: ast.stmt) -> tuple[str, str]:
    """The statement as source, and its tree; both empty when it cannot be written or does not compile."""
    text = written_back(statement)
    with suppress(RecursionError, MemoryError):
        tree = parse(text)
        return (text, ast.dump(tree)) if tree and text else ("", "")
    return "", ""


def _shown(node: ast.AST) -> str:
    line = (written_back(node) or "…").strip().split("\n")[0]
    return line if len(line) <= LONGEST_SHOWN else f"{line[:LONGEST_SHOWN]}…"


def _reached(tree: ast.Module, names: Collection[str]) -> list[tuple[int, ast.AST]]:
    """The functions and classes that `names` define or lead to, each with the number of its statement."""
    defined = dict(_definitions(tree))
    found: dict[str, tuple[int, ast.stmt]] = {}
    wanted = sorted(names)
    while wanted:
        name = wanted.pop()
        if name in defined and name not in found:
            found[name] = defined[name]
            wanted += [part.id for part in ast.walk(defined[name][1]) if isinstance(part, ast.Name)]
    roots: dict[int, tuple[int, ast.AST]] = {}
    for index, node in found.values():
        is_definition = isinstance(node, SCOPES)
        parts = [node] if is_definition else [part for part in ast.walk(node) if isinstance(part, ast.Lambda)]
        roots |= {id(part): (index, part) for part in parts}
    return list(roots.values())


def _definitions(tree: ast.Module) -> Iterator[tuple[str, tuple[int, ast.stmt]]]:
    """What the module binds at its top, also below `if` and `try`, but not in the guard `if __name__ == …`."""
    statements = list(enumerate(tree.body))[::-1]
    while statements:
        index, node = statements.pop()
        if isinstance(node, SCOPES):
            yield node.name, (index, node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            yield from ((name, (index, node)) for name in names_bound(node))
        elif not (isinstance(node, ast.If) and "__name__" in names_read(node.test)):
            statements += [(index, part) for part in [*ast.iter_child_nodes(node)][::-1] if isinstance(part, ast.stmt)]
