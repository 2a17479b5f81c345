"""From what a model wrote to a module that compiles.

Small models wrap code in prose, think aloud, write two blocks, go on after the code, or are cut off.

text → blocks (what parses) → the best one → its parts, less those that only show → plus what other blocks define for it
"""

import builtins
import keyword
import re
from collections.abc import Iterable
from dataclasses import dataclass

from coder_agent.blocks import find_blocks
from coder_agent.module_parts import Function, Part, belonging, parts_of, reached
from coder_agent.source_text import parse

__all__ = ["Module", "as_module", "extract_module", "parse", "strip_thinking"]

THINKING = re.compile(r"^[ \t]*<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE | re.MULTILINE)
END_OF_THINKING = re.compile(r"^[^#\n]*(?<!['\"\\])</think(?:ing)?>(?!['\"\\])", re.IGNORECASE | re.MULTILINE)
"""Code may hold the tags too, in quotes and in comments."""


@dataclass(frozen=True)
class Module:
    """Python source that compiles, and the functions, classes and variables it defines at module level, in order."""

    code: str
    names: tuple[str, ...]


def extract_module(text: str, entry: str | None = None, *, has_alias: bool = True) -> Module | None:
    """The best module in `text`, or None when there is no code in it.

    Args:
        text: the model's answer, with the prefilled fence left out or in.
        entry: the name the module must define. When nothing binds it and exactly one public function is there, that
            function gets the name as an alias.
        has_alias: whether it may.
    """
    text = strip_thinking(text).replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "").lstrip("\ufeff")
    blocks = sorted(find_blocks(text, entry), key=lambda block: block.rank, reverse=True)
    for best in blocks:
        parts = belonging(best.parts, entry)
        others = (belonging(block.parts, entry) for block in blocks if block is not best)
        module = _joined(_supplied(parts, others), parts)
        if module is not None:
            return _with_alias(module, parts, entry) if has_alias else module
    return None


def as_module(code: str) -> Module | None:
    """`code` as it is; None where it does not compile."""
    tree = parse(code)
    if tree is None:
        return None
    names = dict.fromkeys(name for part in parts_of(code, tree, None) for name in part.variables)
    return Module(code, tuple(names))


def strip_thinking(text: str) -> str:
    """`text` without passages that begin with `<think>` on a line; a closing tag without one drops all before it."""
    return END_OF_THINKING.split(THINKING.sub("", text))[-1]


def _supplied(parts: list[Part], others: Iterable[list[Part]]) -> list[Part]:
    """What the other blocks define of the names that `parts` use and do not bind; nothing is defined twice."""
    bound = set(dir(builtins)).union(*(part.names for part in parts))
    missing = {name for part in parts for name in part.uses - bound}
    pool: list[Part] = []
    for block in others if missing else ():
        new = [part for part in block if not part.changes & bound]
        pool += new
        bound = bound.union(*(part.names for part in new))
    wanted = reached(missing, pool)
    return [part for part in pool if part.changes & wanted]


def _joined(supplied: list[Part], parts: list[Part]) -> Module | None:
    """The module of both, `from __future__` first, or None when that does not compile or is empty."""
    head = [part for part in parts if supplied and part.is_for_the_compiler]
    groups = (head, supplied, [part for part in parts if part not in head])
    code = "\n\n\n".join("\n".join(part.text for part in group).strip("\n") for group in groups if group) + "\n"
    tree = parse(code)
    names = dict.fromkeys(name for part in (*supplied, *parts) for name in part.variables)
    return Module(code, tuple(names)) if tree is not None and tree.body else None


def _with_alias(module: Module, parts: list[Part], entry: str | None) -> Module:
    if entry is None or not entry.isidentifier() or keyword.iskeyword(entry):
        return module
    functions = {part.node.name for part in parts if isinstance(part.node, Function) and part.node.name[0] != "_"}
    if any(entry in part.names for part in parts) or len(functions) != 1:
        return module
    return Module(f"{module.code}\n\n{entry} = {functions.pop()}\n", (*module.names, entry))
