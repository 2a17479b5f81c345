"""Plain data as JSON: what may cross between the tests and the program when they run apart.

    encode(value) -> JSON-able, decode(JSON-able) -> value

Only exact builtin types, a few value types of the standard library, and finite iterators cross as values. Anything else
crosses as its type's name (`Foreign`), with its builtin value where its type is derived from a builtin one.
Nothing decoded here runs code of the other side.
"""

from __future__ import annotations

import base64
import datetime
import itertools
import json
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import PosixPath
from typing import Any

MOST_ITEMS = 10_000
"""Of an iterator; one with more does not cross."""
DEEPEST = 100

Inner = Callable[[Any], Any]
"""Encodes or decodes what a container holds."""


class NotPlain(Exception):
    """This value cannot cross; the text says why."""


@dataclass(frozen=True)
class Foreign:
    """A value that did not cross: its type's name, and the builtin value it is derived from, if any."""

    type_name: str
    base: Any = None
    has_base: bool = False


@dataclass(frozen=True)
class _Form:
    """How one type is written, and read again."""

    name: str
    write: Callable[[Any, Inner], Any]
    read: Callable[[Any, Inner], Any]


def _text(name: str, write: Callable[[Any], str], read: Callable[[str], Any]) -> _Form:
    return _Form(name, lambda value, _: write(value), lambda text, _: read(text))


def _items(name: str, make: Callable[[Iterable[Any]], Any]) -> _Form:
    return _Form(
        name, lambda value, inner: [inner(item) for item in value], lambda items, inner: make([*map(inner, items)])
    )


def _set(name: str, make: Callable[[Iterable[Any]], Any]) -> _Form:
    """Written in one order, so that equal sets are written alike."""
    form = _items(name, make)
    return _Form(name, lambda value, inner: sorted(form.write(value, inner), key=json.dumps), form.read)


def _pairs(name: str, make: Callable[[dict[Any, Any]], Any]) -> _Form:
    return _Form(
        name,
        lambda value, inner: [[inner(key), inner(item)] for key, item in value.items()],
        lambda pairs, inner: make({inner(key): inner(item) for key, item in pairs}),
    )


def _numbers(name: str, write: Callable[[Any], list[Any]], read: Callable[..., Any]) -> _Form:
    return _Form(name, lambda value, _: write(value), lambda numbers, _: read(*numbers))


def _in_base64(value: bytes | bytearray) -> str:
    return base64.b64encode(value).decode()


_FORMS: dict[type, _Form] = {
    int: _text("int", hex, lambda text: int(text, 16)),
    float: _text("float", float.hex, float.fromhex),
    complex: _numbers(
        "complex",
        lambda value: [value.real.hex(), value.imag.hex()],
        lambda real, imaginary: complex(float.fromhex(real), float.fromhex(imaginary)),
    ),
    bytes: _text("bytes", _in_base64, base64.b64decode),
    bytearray: _text("bytearray", _in_base64, lambda text: bytearray(base64.b64decode(text))),
    list: _items("list", list),
    tuple: _items("tuple", tuple),
    set: _set("set", set),
    frozenset: _set("frozenset", frozenset),
    deque: _items("deque", deque),
    dict: _pairs("dict", dict),
    OrderedDict: _pairs("OrderedDict", OrderedDict),
    Counter: _pairs("Counter", Counter),
    range: _numbers("range", lambda value: [value.start, value.stop, value.step], range),
    Decimal: _text("Decimal", str, Decimal),
    Fraction: _text("Fraction", str, Fraction),
    uuid.UUID: _text("UUID", str, uuid.UUID),
    PosixPath: _text("Path", str, PosixPath),
    datetime.date: _text("date", datetime.date.isoformat, datetime.date.fromisoformat),
    datetime.time: _text("time", datetime.time.isoformat, datetime.time.fromisoformat),
    datetime.datetime: _text("datetime", datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    datetime.timedelta: _numbers(
        "timedelta", lambda value: [value.days, value.seconds, value.microseconds], datetime.timedelta
    ),
}
_READ = {form.name: form.read for form in _FORMS.values()}
_FORMS[defaultdict] = _FORMS[dict]
_SAME = (type(None), bool, str)
_BASES = (int, float, bytes, bytearray, list, tuple, set, frozenset, deque, dict, str)
_ITERATORS: tuple[type, ...] = (
    types.GeneratorType, map, filter, zip, enumerate, reversed, type(iter([])), type(iter(())), type(iter({})),
    type(iter("")), type(iter(set())), itertools.chain, itertools.islice, itertools.product, itertools.permutations,
    itertools.combinations, itertools.accumulate, itertools.zip_longest,
)  # fmt: skip


def encode(value: Any, *, strict: bool = False, depth: int = 0) -> Any:
    """`value` as JSON can carry it.

    Args:
        strict: refuse what is not plain, instead of naming its type.
        depth: how deep inside of others it lies.

    Raises:
        NotPlain: too deep, an endless iterator, or not plain where that is asked for.
    """
    kind = type(value)
    if kind in _SAME:
        return value
    if depth > DEEPEST:
        raise NotPlain("it is nested too deeply, or holds itself")

    def inner(item: Any) -> Any:
        return encode(item, strict=strict, depth=depth + 1)

    if kind in _FORMS:
        form = _FORMS[kind]
        return {form.name: form.write(value, inner)}
    if strict:
        raise NotPlain(f"an object of the type {kind.__name__}")
    if isinstance(value, _ITERATORS):
        return {"iterator": [inner(item) for item in _finite(value)]}
    if isinstance(value, types.CoroutineType | types.AsyncGeneratorType):
        raise NotPlain("a coroutine")
    base = next((base for base in _BASES if issubclass(kind, base)), None)
    return {"foreign": [kind.__name__] if base is None else [kind.__name__, inner(_as_base(value, base))]}


def decode(data: Any, stranger: Callable[[Foreign], Any] = lambda foreign: foreign) -> Any:
    """The value again, with `stranger(…)` for what did not cross.

    Raises:
        ValueError: `encode` cannot have written this; other errors of the types' constructors as well.
    """
    if type(data) in _SAME:
        return data
    if type(data) is not dict or len(data) != 1:
        raise ValueError("not plain data")
    ((name, content),) = data.items()

    def inner(item: Any) -> Any:
        return decode(item, stranger)

    if name in _READ:
        return _READ[name](content, inner)
    if name == "iterator":
        return _again([inner(item) for item in content])
    if name == "foreign":
        base = inner(content[1]) if len(content) > 1 else None
        return stranger(Foreign(str(content[0]), base, len(content) > 1))
    raise ValueError(f"unknown plain data {name!r}")


def _finite(values: Any) -> list[Any]:
    items = list(itertools.islice(values, MOST_ITEMS + 1))
    if len(items) > MOST_ITEMS:
        raise NotPlain(f"an iterator of more than {MOST_ITEMS} items")
    return items


def _as_base(value: Any, base: Any) -> Any:
    """The builtin value of an object whose type is derived from `base`, whatever methods that type overrides."""
    if base in {int, float, str}:
        return {int: int.__index__, float: float.__float__, str: str.__str__}[base](value)
    return dict(dict.items(value)) if base is dict else base(base.__iter__(value))


def _again(items: list[Any]) -> Generator[Any, None, None]:
    yield from items
