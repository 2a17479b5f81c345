"""YAML files whose every value knows where it stands, so that a mistake is named with its file, line and key.

load_yaml(path) -> Located ─┬─ mapping(allowed)  keys, unknown ones refused with the nearest known name
                            ├─ items()           a list
                            └─ text() · whole() · flag() · one_of() · plain()

Stricter than YAML: keys are text and stand once, no aliases (a few lines could grow to gigabytes), no tags beyond the
plain ones. Nothing in a file can make an object of any other kind.
"""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from kitty_core.errors import ConfigurationError

Value = object
PLAIN = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}


@dataclass(frozen=True)
class Located:
    """One value of a file: a scalar, a list of `Located`, or a dict of them by key."""

    value: Value
    file: str
    line: int
    """Counted from 1."""
    key: str
    """The way to it, such as `commands.git.log.argv[2]`; empty for the whole document."""

    def problem(self, reason: str) -> ConfigurationError:
        """The error to raise: `FILE:LINE: KEY: reason`."""
        return ConfigurationError(f"{self.file}:{self.line}: {self.key + ': ' if self.key else ''}{reason}")

    def mapping(self, allowed: Collection[str] | None = None, required: Collection[str] = ()) -> dict[str, "Located"]:
        """The values by key.

        Args:
            allowed: the keys there may be; None: any.
            required: the keys there have to be.

        Raises:
            ConfigurationError: no mapping, an unknown key, a missing one.
        """
        if not isinstance(self.value, dict):
            raise self.problem("must be a mapping (key: value)")
        found: dict[str, Located] = self.value
        for name, value in found.items():
            if allowed is not None and name not in allowed:
                raise value.problem(f"unknown key{_nearest(name, allowed)}")
        for name in required:
            if name not in found:
                raise self.problem(f"the key {name!r} is missing")
        return found

    def items(self) -> "list[Located]":
        """The values of a list. Raises ConfigurationError where it is none."""
        if not isinstance(self.value, list):
            raise self.problem("must be a list")
        return list(self.value)

    def text(self) -> str:
        """Text, not empty. Raises ConfigurationError."""
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.problem("must be text" + ("" if isinstance(self.value, str) else " (quote it?)"))
        return self.value

    def whole(self, least: int, most: int) -> int:
        """A whole number from `least` to `most`. Raises ConfigurationError."""
        if not isinstance(self.value, int) or isinstance(self.value, bool) or not least <= self.value <= most:
            raise self.problem(f"must be a whole number from {least} to {most}")
        return self.value

    def flag(self) -> bool:
        """true or false. Raises ConfigurationError."""
        if not isinstance(self.value, bool):
            raise self.problem("must be true or false")
        return self.value

    def one_of(self, known: Sequence[str]) -> str:
        """One of `known`. Raises ConfigurationError."""
        if not isinstance(self.value, str) or self.value not in known:
            raise self.problem(f"must be one of {', '.join(known)}{_nearest(str(self.value), known)}")
        return self.value

    def plain(self) -> Value:
        """Without the places: what `yaml.safe_load` gives."""
        if isinstance(self.value, dict):
            return {key: value.plain() for key, value in self.value.items()}
        if isinstance(self.value, list):
            return [value.plain() for value in self.value]
        return self.value


def load_yaml(path: Path) -> Located:
    """The file's one document.

    Raises:
        ConfigurationError: cannot be read, is no YAML, or is not of the strict kind above.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, file: str) -> Located:
    """As `load_yaml`, of a text; `file` is named in errors."""
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            return Located(None, file, 1, "") if node is None else _Reader(loader, file).located(node, "")
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}" if mark else file
        raise ConfigurationError(f"{place}: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{file}: {error}") from error


class _Reader:
    def __init__(self, loader: yaml.SafeLoader, file: str) -> None:
        self._loader = loader
        self._file = file
        self._seen: set[int] = set()

    def located(self, node: yaml.Node, key: str, line: int | None = None) -> Located:
        """`line`: where it is said, where that is not where the node begins."""
        at = Located(None, self._file, line or node.start_mark.line + 1, key)
        if id(node) in self._seen:
            raise at.problem("aliases (*name) are not understood here")
        self._seen.add(id(node))
        if not isinstance(node, yaml.ScalarNode) and node.tag not in PLAIN:
            raise at.problem(f"the tag {node.tag} is not understood here")
        if isinstance(node, yaml.MappingNode):
            return Located(self._entries(node, key), at.file, at.line, key)
        if isinstance(node, yaml.SequenceNode):
            values = [self.located(item, f"{key}[{number}]") for number, item in enumerate(node.value)]
            return Located(values, at.file, at.line, key)
        return Located(self._loader.construct_object(node), at.file, at.line, key)

    def _entries(self, node: yaml.MappingNode, key: str) -> dict[str, Located]:
        found: dict[str, Located] = {}
        for name_node, value_node in node.value:
            line = name_node.start_mark.line + 1
            name = self._loader.construct_object(name_node)
            at = Located(None, self._file, line, f"{key}.{name}" if key else str(name))
            if not isinstance(name, str):
                raise at.problem("a key must be text (quote it?)")
            if name in found:
                raise at.problem(f"stands twice (first in line {found[name].line})")
            # The line of a value is its key's: the value of a mapping begins one below.
            found[name] = self.located(value_node, at.key, line)
        return found


def _nearest(name: str, known: Collection[str]) -> str:
    found = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""
