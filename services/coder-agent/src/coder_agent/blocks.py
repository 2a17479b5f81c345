"""From a model's answer to the stretches of it that are code, wherever prose, fences or a cut-off end leave them.

Each way to divide the text is tried until one gives a whole block with what was asked for: what lies between any two
fences (docstrings hold fences too), then the longest beginnings that parse.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise

from coder_agent.module_parts import Definition, Part, parts_of
from coder_agent.source_text import compiled

FENCE = re.compile(r"[ \t]*+(?:```+|~~~+)[^`\n]*$")
FENCE_AFTER_CODE = re.compile(r"(?<=\S)[ \t]*```[ \t]*$", re.MULTILINE)
PROMPTED = re.compile(r"^[ \t]*(?:>>>|\.\.\.)(?: |$)(.*)$", re.MULTILINE)
START = re.compile(
    r"(?:from\s+[\w.]+\s+import|import|def|class|async\s+def)\b|@\w|try:|(?:if|for|while|with)\s.*:\s*$|\"\"\"|"
    r"[A-Za-z_]\w*(?:, *\w+)*(?:\s*:[^=]+)?\s*=(?!=)"
)
"""What a line of code that may follow prose begins with."""
LONGEST_START = 200
MOST_CUTS = 12
MOST_BLOCKS = 30
PARSED_PER_CHARACTER = 6
"""How many times the length of the text may be parsed in all: what bounds the time any text takes."""


@dataclass(frozen=True)
class Block:
    """A stretch that parses; torn when it ends amid a statement."""

    source: str
    tree: ast.Module
    entry: str | None
    is_torn: bool = False

    @cached_property
    def parts(self) -> list[Part]:
        """Its statements."""
        return parts_of(self.source, self.tree, self.entry)

    @cached_property
    def rank(self) -> tuple[bool, bool, bool, int]:
        """Greater for the better block."""
        parts = [part for part in self.parts if not part.is_test]
        names = {name for part in parts for name in part.variables}
        defines = any(isinstance(part.node, Definition) for part in parts)
        size = len(names) if defines else sum(part.is_program for part in parts)
        return self.entry in names, defines, not self.is_torn, size

    @property
    def suffices(self) -> bool:
        """Whether there is no need to look further."""
        has_entry, defines, is_whole, _ = self.rank
        return is_whole and (defines if self.entry is None else has_entry)


def find_blocks(text: str, entry: str | None) -> list[Block]:
    """The blocks of the first way to divide `text` that gives a whole one with `entry`; of all ways if none does."""
    reader = _Reader(PARSED_PER_CHARACTER * len(text) + 10_000, entry)
    found: dict[str, Block] = {}
    for stretches, must_be_whole in _divisions(text):
        for stretch in stretches:
            if _is_inside(stretch, found.values()):
                continue
            read = reader.whole if must_be_whole else reader.within
            for block in read(_dedent(stretch)):
                found.setdefault(block.source, block)
        if any(block.suffices for block in found.values()):
            break
    return list(found.values())


def _is_inside(stretch: str, blocks: Iterable[Block]) -> bool:
    """Whether `stretch` is made of indented lines that `blocks` hold: the bodies of their own statements."""
    lines = [line for line in stretch.split("\n") if line.strip()]
    if not all(_indent(line) for line in lines):
        return False
    held = {line.strip() for block in blocks for line in block.source.split("\n") if _indent(line)}
    return all(line.strip() in held for line in lines)


def _divisions(text: str) -> Iterator[tuple[list[str], bool]]:
    """Ways to divide `text`, each with whether only stretches that parse from end to end count."""
    lines = text.split("\n")
    fences = [-1, *(number for number, line in enumerate(lines) if FENCE.match(line)), len(lines)]

    def between(spans: Iterable[tuple[int, int]]) -> list[str]:
        return ["\n".join(lines[start + 1 : end]) for start, end in spans]

    yield between(sorted(combinations(fences[:12], 2), key=lambda span: (span[0], -span[1]))), True
    yield between(pairwise(fences)), False
    yield [FENCE_AFTER_CODE.sub("\n", text)], False
    yield ["\n".join(PROMPTED.findall(text))], False
    yield ["\n".join(line for line in lines if line[:1] in {"", " ", "\t"} and not FENCE.match(line))], False


def _dedent(stretch: str) -> str:
    lines = stretch.strip("\n").split("\n")
    margin = min((_indent(line) for line in lines if line.strip()), default=0)
    return "\n".join(line[margin:] for line in lines).rstrip() + "\n"


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


class _Reader:
    """Parses no more than `budget` characters, so that no text takes long."""

    def __init__(self, budget: int, entry: str | None) -> None:
        self._budget = budget
        self._entry = entry

    def whole(self, source: str) -> Iterator[Block]:
        """The block that `source` is, if it parses."""
        tree = self._read(source)
        if isinstance(tree, ast.Module) and tree.body:
            yield Block(source, tree, self._entry)

    def within(self, source: str) -> Iterator[Block]:
        """The stretches of `source` that parse, each as long as can be; a new one begins where code seems to."""
        lines = source.rstrip("\n").split("\n")
        at = 0
        for _ in range(MOST_BLOCKS):
            block, length = self._longest_prefix(lines[at:])
            if block is not None and block.tree.body:
                yield block
            after = range(at + max(length, 1), len(lines))
            start = next((n for n in after if START.match(lines[n][:LONGEST_START])), None)
            if start is None or self._budget <= 0:
                return
            at = start

    def _longest_prefix(self, lines: list[str]) -> tuple[Block | None, int]:
        """The longest beginning that compiles, and how many lines of `lines` it takes."""
        end = len(lines)
        for cuts in range(MOST_CUTS):
            while end and not lines[end - 1].strip():
                end -= 1
            if not end:
                break
            bad_line = 0
            for number, source in enumerate(_closed("\n".join(lines[:end]))):
                read = self._read(source)
                if isinstance(read, ast.Module):
                    following = next((line for line in lines[end:] if line.strip()), "")
                    return Block(source, read, self._entry, number > 0 or _indent(following) > 0), end
                bad_line = bad_line or read
            end = end - 1 if bad_line == end and cuts < 2 else _cut(lines, end, bad_line)
        return None, 0

    def _read(self, source: str) -> ast.Module | int:
        """The tree, or the line at fault; 0 where none is known."""
        if self._budget <= 0:
            return 0
        self._budget -= len(source) + 200
        try:
            return compiled(source)
        except SyntaxError as error:
            return error.lineno or 0
        except (ValueError, RecursionError, MemoryError):
            return 0


def _closed(prefix: str) -> Iterator[str]:
    """`prefix`, and where it ends in a header such as `if x:`, the same with an empty body."""
    yield prefix + "\n"
    last = prefix.rsplit("\n", 1)[-1]
    if last.rstrip().endswith(":"):
        yield f"{prefix}\n{last[: _indent(last)]}    pass\n"


def _cut(lines: list[str], end: int, bad_line: int) -> int:
    """A shorter end: before the line at fault; or before the header of the block that the last line is in."""
    if 0 < bad_line < end:
        return bad_line - 1
    indent = _indent(lines[end - 1]) if bad_line else 1
    return next((n for n in range(end - 1, -1, -1) if lines[n].strip() and _indent(lines[n]) < max(indent, 1)), 0)
