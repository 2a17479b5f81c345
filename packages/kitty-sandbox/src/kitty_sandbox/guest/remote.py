"""The tests' side of a run apart from the program: modules that look like the program's, and call it over two pipes.

Only plain data comes back. What the tests ask for beyond that (classes, callbacks, changed arguments, identity) ends
the run as `unfit`: the supervisor then runs everything in one process and says so. It never becomes a pass here: a
value that did not cross equals nothing but what its builtin value equals.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
import threading
import types
from collections.abc import Callable, Collection, Generator, Sequence
from typing import Any, NoReturn

import pytest

from . import plain
from .program import read_message, write_message

Unfit = Callable[[str], NoReturn]
"""Ends the run; told why."""


class Line:
    """The two pipes to the program, for one question at a time."""

    def __init__(self, requests: int, answers: int, unfit: Unfit) -> None:
        self._unfit = unfit
        self._is_explaining = False
        self._requests, self._answers = requests, answers
        self._lock = threading.Lock()

    def unfit(self, reason: str) -> NoReturn:
        """End the run: the tests need more than plain data. Raises TypeError while a failure is being explained."""
        if self._is_explaining:
            raise TypeError(reason)
        self._unfit(reason)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_assertrepr_compare(self) -> Generator[None, Any, Any]:
        """pytest tries out the two sides of a comparison that has failed already; that is no use of theirs."""
        self._is_explaining = True
        try:
            return (yield)
        finally:
            self._is_explaining = False

    def ask(self, **request: Any) -> dict[str, Any]:
        """The answer; raises what the program raised, and RuntimeError when it has ended."""
        with self._lock:
            try:
                write_message(self._requests, request)
                answer = read_message(self._answers)
            except (OSError, ValueError) as error:
                raise RuntimeError(f"The program cannot be asked any more: {error}") from None
        if not isinstance(answer, dict):
            raise RuntimeError("The program ended in this call.")
        if "unfit" in answer:
            self.unfit(f"{next(iter(request))}: {answer['unfit']}")
        if "raised" in answer:
            raise _exception(answer["raised"]) from None
        return answer


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the program's modules, by their top-level names, on the other side."""

    def __init__(self, line: Line, modules: Collection[str], used: Collection[str]) -> None:
        """`used` are the names that the tests use without defining or importing them by name."""
        self._line, self._modules, self._used = line, frozenset(modules), frozenset(used)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in self._modules:
            return None
        if fullname in sys.modules:
            self._line.unfit("a module is loaded again")
        answer = self._line.ask(**{"import": fullname})
        return importlib.machinery.ModuleSpec(fullname, self, loader_state=answer, is_package=answer["package"])

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Fetch the names. Functions and constants become attributes; other names are unfit when they are touched."""
        name = module.__name__
        answer = module.__spec__.loader_state if module.__spec__ else {}
        kinds: dict[str, str] = answer["names"]
        found: dict[str, Any] = {"__line__": self._line, "__kinds__": kinds, "__doc__": answer.get("doc")}
        for key, kind in kinds.items():
            if kind == "function":
                found[key] = _Function(self._line, name, key)
            elif kind == "data":
                found[key] = _value(self._line, self._line.ask(get=[name, key])["value"])
            elif key in self._used:
                self._line.unfit(f"the tests use {key}, which is not a function")
        module.__dict__.update(found)


class _Module(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        kinds = self.__dict__.get("__kinds__", {})
        if name in kinds:
            self.__dict__["__line__"].unfit(f"the tests use {name}, which is not a function")
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("__") and not isinstance(value, types.ModuleType):
            self.__dict__["__line__"].unfit("the tests change the module")
        super().__setattr__(name, value)


class _Function:
    """Calls the program; anything else that is done with it is unfit."""

    def __init__(self, line: Line, module: str, name: str) -> None:
        self.__dict__.update(_line=line, _module=module, __name__=name, __qualname__=name, __module__=module)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            arguments = plain.encode(list(args), strict=True)
            named = plain.encode(kwargs, strict=True)
        except plain.NotPlain as error:
            self._line.unfit(f"an argument is not plain data: {error}")
        answer = self._line.ask(call=[self._module, self.__name__, arguments, named])
        return _value(self._line, answer["value"])

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("_", "pytest", "place_as")):  # what pytest looks for in everything it collects
            raise AttributeError(name)
        self._line.unfit(f"the tests use {self.__name__}.{name}")

    def __repr__(self) -> str:
        return f"<function {self.__name__}>"


class _Stranger:
    """A value that did not cross. It can be compared and printed; anything else is unfit."""

    def __init__(self, line: Line, foreign: plain.Foreign) -> None:
        self.__dict__.update(_line=line, _foreign=foreign)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _Stranger):
            self._line.unfit(f"two objects of the type {self._foreign.type_name} are compared")
        return bool(self._foreign.has_base and self._foreign.base == other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __repr__(self) -> str:
        return repr(self._foreign.base) if self._foreign.has_base else f"<{self._foreign.type_name} object>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        self._line.unfit(f"the tests use {self._foreign.type_name}.{name}")


def _refuse(name: str) -> Callable[..., Any]:
    def refuse(self: _Stranger, *args: Any) -> Any:
        self._line.unfit(f"the tests use an object of the type {self._foreign.type_name}")

    refuse.__name__ = name
    return refuse


for _name in (
    "hash", "bool", "len", "iter", "next", "reversed", "contains", "getitem", "setitem", "delitem", "call", "enter",
    "exit", "await", "aiter", "anext", "index", "int", "float", "complex", "lt", "le", "gt", "ge", "add", "radd", "sub",
    "rsub", "mul", "rmul", "truediv", "rtruediv", "floordiv", "rfloordiv", "mod", "rmod", "pow", "rpow", "neg", "pos",
    "abs", "invert", "and", "rand", "or", "ror", "xor", "rxor", "lshift", "rshift", "matmul", "round", "trunc", "floor",
    "ceil", "format", "str", "bytes", "fspath",
):  # fmt: skip
    setattr(_Stranger, f"__{_name}__", _refuse(f"__{_name}__"))


def _value(line: Line, data: Any) -> Any:
    """Decoded, with a stranger in the place of what did not cross."""
    try:
        return plain.decode(data, lambda foreign: _Stranger(line, foreign))
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, ArithmeticError) as error:
        raise RuntimeError(f"The program answered something that is no value: {error}") from None


def _exception(told: dict[str, Any]) -> BaseException:
    """The nearest class that is known on this side, with the same arguments or at least the same text."""
    text = str(told.get("text", ""))
    lineage = [entry for entry in told.get("lineage", []) if isinstance(entry, list) and len(entry) == 2]
    for at, (module, name) in enumerate(lineage):
        found = getattr(sys.modules.get(str(module)), str(name), None)
        known = str(module).partition(".")[0] in sys.stdlib_module_names
        if known and isinstance(found, type) and issubclass(found, Exception | SystemExit):
            error = _make(found, told["args"] if at == 0 else None, text)
            if isinstance(error, ImportError) and isinstance(told.get("name"), str):
                error.name, error.msg = told["name"], text
            return error
    return RuntimeError(f"{lineage[0][1] if lineage else 'something'}: {text}")


def _make(kind: type[BaseException], arguments: Any, text: str) -> BaseException:
    values = (text,) if arguments is None else tuple(plain.decode(arguments))
    try:
        return kind(*values)
    except Exception:  # noqa: BLE001 - a constructor of the library that wants something else
        error = kind.__new__(kind)
        error.args = values
        return error


def end_run(send: Callable[..., None], reason: str) -> NoReturn:
    """Report that the tests need more than plain data, and end this process."""
    send("unfit", reason=reason[:300])
    os._exit(0)
