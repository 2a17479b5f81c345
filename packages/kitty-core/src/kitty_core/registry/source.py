"""YAML as nodes that know their lines, and the list of what is wrong with them.

PyYAML's own mapping would keep the last of two equal keys silently and forget every line.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

import yaml

from kitty_core.errors import RegistryProblem

BOOLEAN = "tag:yaml.org,2002:bool"
TEXT = "tag:yaml.org,2002:str"
NULL = "tag:yaml.org,2002:null"
MERGE = "tag:yaml.org,2002:merge"
MOST_VALUES = 20_000
DEEPEST = 50
"""Keys below each other in one value: what is judged by recursion then has room to spare."""
Pairs = Mapping[str, tuple[yaml.Node, yaml.Node]]
"""Key text → the nodes of key and value."""
Path = Iterable[str | int]


class Source:
    """One file. `report` collects; `close` raises everything that was collected."""

    def __init__(self, name: str, content: bytes) -> None:
        """Parse `content` (UTF-8). A file that is no YAML is reported, and `root` is None."""
        self.name = name
        self._problems: set[tuple[int, str]] = set()
        self._pairs: dict[int, Pairs] = {}
        self.root: yaml.Node | None = None
        try:
            self._loader = yaml.SafeLoader(content.decode("utf-8-sig"))
            self.root = self._loader.get_single_node()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._add(mark.line + 1 if mark else 1, f"YAML: {error.problem or error.context}")
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            self._add(1, f"YAML: {str(error) or type(error).__name__}")

    def report(self, node: yaml.Node, key: str, reason: str) -> None:
        """Note that `reason` is wrong with `key`, whose place is `node`."""
        self._add(line_of(node), f"{key}: {reason}")

    def close(self) -> None:
        """Raises: RegistryProblem: with everything reported, in the order of the lines."""
        if self._problems:
            raise RegistryProblem([f"{self.name}:{line}: {text}" for line, text in sorted(self._problems)])

    def pairs(self, node: yaml.Node, key: str) -> Pairs:
        """The keys of a mapping, merged ones (`<<`) included; what is no mapping is reported and has none."""
        if id(node) not in self._pairs:
            self._pairs[id(node)] = self._read_pairs(node, key)
        return self._pairs[id(node)]

    def _read_pairs(self, node: yaml.Node, key: str) -> Pairs:
        if not isinstance(node, yaml.MappingNode):
            self.report(node, key, f"must be a mapping of keys, not {in_words(node)}")
            return {}
        self._find_twice(node, key)
        try:
            self._loader.flatten_mapping(node)
        except (yaml.MarkedYAMLError, RecursionError) as error:
            self.report(node, key, f"cannot be merged: {error}")
        return {name.value: (name, value) for name, value in node.value if name.tag == TEXT}

    def _find_twice(self, node: yaml.MappingNode, key: str) -> None:
        seen: dict[str, int] = {}
        for name, _ in node.value:
            if name.tag == MERGE:
                continue
            if name.tag != TEXT:
                self.report(name, f"{key}.{name.value}" if isinstance(name.value, str) else key, "a key must be text")
            elif name.value in seen:
                self.report(name, joined(key, [name.value]), f"is there twice; first on line {seen[name.value]}")
            else:
                seen[name.value] = line_of(name)

    def text(self, node: yaml.Node, key: str) -> str | None:
        """The text of a scalar; anything else is reported."""
        if isinstance(node, yaml.ScalarNode) and node.tag == TEXT and node.value.strip():
            return str(node.value)
        self.report(node, key, f"must be text, not {in_words(node)}")
        return None

    def remark(self, node: yaml.Node, key: str) -> str | None:
        """The same for what nothing depends on: it may be empty, and null counts as not said."""
        if node.tag == NULL or (node.tag == TEXT and not str(node.value).strip()):
            return None
        return self.text(node, key)

    def flag(self, node: yaml.Node, key: str) -> bool | None:
        """true or false; anything else, `"true"` in quotes too, is reported."""
        if node.tag == BOOLEAN:
            return bool(yaml.SafeLoader.bool_values[node.value.lower()])
        self.report(node, key, f"must be true or false, not {in_words(node)}")
        return None

    def json(self, node: yaml.Node, key: str) -> object:
        """The value as JSON would hold it; None where it cannot, which is reported."""
        count = len(self._problems)
        self._find_twice_below(node, key)
        try:
            value = self._loader.construct_document(node)
        except (yaml.MarkedYAMLError, ValueError, RecursionError) as error:
            self.report(node, key, getattr(error, "problem", None) or str(error))
            return None
        for path, reason in not_json(value):
            self.report(place_of(node, path), joined(key, path), reason)
        return value if len(self._problems) == count else None

    def _find_twice_below(self, root: yaml.Node, key: str) -> None:
        waiting, seen = [(root, key)], set[int]()
        while waiting:
            node, name = waiting.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, yaml.MappingNode):
                self._find_twice(node, name)
                waiting += [(value, joined(name, [str(part.value)])) for part, value in node.value]
            elif isinstance(node, yaml.SequenceNode):
                waiting += [(value, joined(name, [index])) for index, value in enumerate(node.value)]

    def _add(self, line: int, text: str) -> None:
        self._problems.add((line, " ".join(text.split())))


def line_of(node: yaml.Node) -> int:
    """The line a node starts on, from 1."""
    return int(node.start_mark.line) + 1


def joined(key: str, path: Path) -> str:
    """`key` with `path` behind it: `a.schema.required[0]`."""
    return key + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


def place_of(node: yaml.Node, path: Path) -> yaml.Node:
    """The node that `path` leads to, or the last one on the way."""
    for part in path:
        found = _child(node, part)
        if found is None:
            break
        node = found
    return node


def _child(node: yaml.Node, part: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for name, value in node.value if name.value == part), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        return node.value[part] if part < len(node.value) else None
    return None


def not_json(value: object) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Where `value` holds what JSON does not (dates, bytes, sets, numbers that are none), or is too large."""
    waiting: list[tuple[tuple[str | int, ...], object]] = [((), value)]
    for _ in range(MOST_VALUES):
        if not waiting:
            return
        path, found = waiting.pop()
        if len(path) > DEEPEST:
            yield path[:3], "holds itself, or is nested too deeply"
            return
        if isinstance(found, dict | list):
            parts = found.items() if isinstance(found, dict) else enumerate(found)
            waiting += [((*path, part), below) for part, below in parts]
        elif reason := _not_json_reason(found):
            yield path, reason
    if waiting:
        yield (), f"holds more than {MOST_VALUES} values once its aliases are written out"


def _not_json_reason(value: object) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return "JSON has no such number"
    if isinstance(value, str | int | float | None):
        return None
    return f"JSON has no {type(value).__name__}; put quotes around it to make it text"


def in_words(node: yaml.Node) -> str:
    """What a node is, for messages."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return f"{node.value!r}" if node.value else "nothing"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?`, or the known words where none is close."""
    words = sorted(known)
    close = get_close_matches(word.lower(), words, 1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(words)}"
