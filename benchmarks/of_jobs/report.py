"""The figures as lines for a person."""

from collections.abc import Iterator, Mapping
from typing import Any


def lines(figures: Mapping[str, Any]) -> Iterator[str]:
    """All of them, by store."""
    for name, of_store in figures["stores"].items():
        yield name
        yield from _indented(of_store, 1)
    yield f"machine: {_flat(figures['machine'])}"


def _indented(figures: Mapping[str, Any], depth: int) -> Iterator[str]:
    for name, value in figures.items():
        label = f"{'  ' * depth}{name}"
        if isinstance(value, dict) and any(isinstance(one, dict) for one in value.values()):
            yield label
            yield from _indented(value, depth + 1)
        else:
            yield f"{label:34} {_flat(value)}"


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{name} {one}" for name, one in value.items())
    return str(value)
