"""A registry file as a whole: entries at the root and under `tools:`, names that are there once."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from kitty_core.errors import RegistryProblem
from kitty_core.registry.entry import KEYS, read_entry
from kitty_core.registry.source import Source, line_of
from kitty_core.tools import Registry, Tool

MOST_BYTES = 1024 * 1024


def load_registry(path: Path, env: Mapping[str, str]) -> Registry:
    """Read the tools of `path`; `env` is what `${VAR}` is expanded from.

    Raises:
        RegistryProblem: the file is missing or not right; all that is wrong with it, as `FILE:LINE: KEY: reason`.
    """
    return read_registry(str(path), _content(path), env)


def read_registry(name: str, content: bytes, env: Mapping[str, str]) -> Registry:
    """The same for the `content` of a file that messages call `name`."""
    source = Source(name, content)
    tools: dict[str, Tool] = {}
    if source.root is not None:
        places: dict[str, yaml.Node] = {}
        for name_node, node in _entries(source, source.root):
            if _is_new(source, name_node, places) and (tool := read_entry(source, name_node, node, env)):
                tools[tool.name] = tool
    source.close()
    if source.root is None:
        raise RegistryProblem([f"{name}:1: tools: there is none; an empty registry is `tools: {{}}`"])
    return Registry(tools)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise RegistryProblem([f"{path}:1: file: {error.strerror or error}"]) from error
    if len(content) > MOST_BYTES:
        raise RegistryProblem([f"{path}:1: file: has more than {MOST_BYTES} bytes"])
    return content


def _entries(source: Source, root: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Name and body of every entry, at the root and under `tools`."""
    for name, (name_node, node) in source.pairs(root, "the file").items():
        if name == "tools":
            yield from source.pairs(node, "tools").values()
        elif _is_tools_misspelt(name, node):
            source.report(name_node, name, "unknown key; did you mean tools?")
        else:
            yield name_node, node


def _is_tools_misspelt(name: str, node: yaml.Node) -> bool:
    """A mapping of mappings under a name without a dot, none of them a key of a tool: a level like `tools`."""
    if "." in name or not isinstance(node, yaml.MappingNode) or not node.value:
        return False
    return all(isinstance(value, yaml.MappingNode) and key.value not in {*KEYS, "safety"} for key, value in node.value)


def _is_new(source: Source, name_node: yaml.Node, places: dict[str, yaml.Node]) -> bool:
    """Whether the name, also as models see it, was not there before; where it was, that is reported."""
    name = str(name_node.value)
    model_name = name.replace(".", "_")
    first = places.setdefault(model_name, name_node)
    if first is name_node:
        return True
    if first.value == name:
        source.report(name_node, name, f"is there twice; first on line {line_of(first)}")
    else:
        source.report(name_node, name, f"models see it as {model_name}, like {first.value} on line {line_of(first)}")
    return False
