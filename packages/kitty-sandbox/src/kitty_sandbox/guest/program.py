"""The program's side of a run apart from its tests: it answers calls, one at a time, over two pipes.

    request  {"import": module} | {"call": [module, name, args, kwargs]} | {"get": [module, name]}
    answer   {"names": {…}, "package": bool} | {"value": …} | {"raised": {…}} | {"unfit": reason}

The guest's code owns this process. Nothing it can do here reaches the tests but the answers, which are plain data.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from . import plain

MOST_BYTES = 4 * 1024 * 1024


def serve(work: str, requests: int, answers: int) -> NoReturn:
    """Answer until the tests' side has gone."""
    exit_now, read, write = os._exit, read_message, write_message
    sys.path.insert(0, work)
    while (request := read(requests)) is not None:
        answer = _answer(request)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError, AttributeError):
                continue
        write(answers, answer)
    exit_now(0)


def read_message(fd: int) -> Any:
    """The next message, None at the end. Raises ValueError for one that is too large or no JSON."""
    head = _read_exactly(fd, 4)
    if head is None:
        return None
    size = int.from_bytes(head, "big")
    if size > MOST_BYTES:
        raise ValueError("a message that is too large")
    body = _read_exactly(fd, size)
    return None if body is None else json.loads(body)


def write_message(fd: int, message: Any) -> None:
    """One message: four bytes of length, JSON. Raises ValueError where it is too large."""
    data = json.dumps(message).encode()
    if len(data) > MOST_BYTES:
        raise ValueError("a message that is too large")
    data = len(data).to_bytes(4, "big") + data
    while data:
        data = data[os.write(fd, data) :]


def _read_exactly(fd: int, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        chunk = os.read(fd, size - len(data))
        if not chunk:
            return None
        data += chunk
    return data


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    ((kind, content),) = request.items()
    questions: dict[str, Callable[[Any], dict[str, Any]]] = {"import": _import, "call": _call, "get": _get}
    try:
        answer = questions[kind](content)
    except plain.NotPlain as error:
        return {"unfit": str(error)}
    except BaseException as error:  # noqa: BLE001 - whatever the guest raised is its result
        return {"raised": _describe(error)}
    return answer


def _import(name: str) -> dict[str, Any]:
    module = importlib.import_module(name)
    names = {key: _kind_of(value) for key, value in vars(module).items() if not key.startswith("__")}
    return {"names": names, "package": hasattr(module, "__path__"), "doc": plain.encode(module.__doc__)}


def _kind_of(value: Any) -> str:
    """How a name can be used from the other side: `function`, `data`, or not at all: `object`."""
    if inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value):
        return "object"
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | functools._lru_cache_wrapper):
        return "function"
    if type(value) not in {type(None), bool, int, float, complex, str, bytes, tuple, frozenset, range}:
        return "object"
    try:
        plain.encode(value, strict=True)
    except plain.NotPlain:
        return "object"
    return "data"


def _call(content: list[Any]) -> dict[str, Any]:
    module, name, args, kwargs = content
    function = getattr(sys.modules[module], name)
    arguments, named = plain.decode(args), plain.decode(kwargs)
    value = function(*arguments, **named)
    if plain.encode(list(arguments), strict=True) != args or plain.encode(named, strict=True) != kwargs:
        raise plain.NotPlain("the call changes its arguments")
    return {"value": plain.encode(value)}


def _get(content: list[Any]) -> dict[str, Any]:
    module, name = content
    return {"value": plain.encode(getattr(sys.modules[module], name), strict=True)}


def _describe(error: BaseException) -> dict[str, Any]:
    """The classes by name, nearest first, the arguments if they are plain, the text."""
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - a guest's __str__ may raise anything
        text = "(its text could not be read)"
    try:
        arguments = plain.encode(list(error.args), strict=True)
    except BaseException:  # noqa: BLE001 - then the text must do
        arguments = None
    lineage = [[str(kind.__module__), str(kind.__qualname__)] for kind in type(error).__mro__]
    name = error.name if isinstance(error, ImportError) and type(error.name) is str else None
    return {"lineage": lineage, "args": arguments, "text": text, "name": name}
