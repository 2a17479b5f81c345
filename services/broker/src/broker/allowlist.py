"""What may be run: commands, their typed arguments, and how values become an argument list. Pure.

args {"limit": 5} ──> checked against each Argument ──> Filled.argv ("git", "log", "--max-count=5")

A value is one item of the argument list, or the part of one behind `--option=`. It never becomes an option by itself:
a positional value that begins with a dash is refused, unless the entry puts a literal `--` before it; a path goes out
as `./path`. Control characters (newline, NUL, escape) are refused everywhere. There is no shell.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

from broker.errors import BadArguments

Hazard = Literal["none", "low", "medium", "high"]
HAZARDS: tuple[Hazard, ...] = get_args(Hazard)
Kind = Literal["string", "integer", "boolean", "enum", "path"]
KINDS: tuple[Kind, ...] = get_args(Kind)
WORKSPACE = "workspace"
"""The argument that every command with `workspace: true` has by itself."""
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
MOST_PATH = 500
MOST_BYTES = 32 * 1024
"""Of a whole argument list."""


@dataclass(frozen=True)
class Argument:
    """One argument of a command and what its value may be."""

    name: str
    kind: Kind
    description: str
    required: bool = False
    option: str | None = None
    """`--max-count`: the value goes out as `--max-count=VALUE`; None: by itself."""
    flag: str | None = None
    """boolean: what true stands for; false is nothing."""
    pattern: re.Pattern[str] | None = None
    """string: the whole value has to match."""
    max_length: int = 200
    least: int = 0
    most: int = 0
    values: tuple[str, ...] = ()
    max_items: int | None = None
    """A list of at most so many values; None: a single one."""
    must_exist: bool = True
    """path: whether something has to be there."""


@dataclass(frozen=True)
class Command:
    """One entry of the allow-list."""

    name: str
    description: str
    program: str
    executable: str | None
    """Absolute path of the program; None: it is not on this machine."""
    argv: tuple[str, ...]
    """Items behind the program; `{name}` stands for the argument's items."""
    arguments: Mapping[str, Argument]
    hazard_class: Hazard
    timeout_sec: int
    output_kb: int
    """Kept of each stream; the rest is counted."""
    workspace: bool = False
    """Runs in the folder that the argument `workspace` names."""
    repository: bool = False
    """Looks at the workspace's git repository (see `repository`)."""
    confined: bool = True
    """Reads only system folders and the workspace and reaches no network, where the kernel has Landlock."""
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def unavailable_because(self, *, has_workspaces: bool) -> str | None:
        """What is missing; None: it can run."""
        if self.executable is None:
            return f"The program {self.program!r} is not on this machine."
        if self.workspace and not has_workspaces:
            return "No workspace is set: BROKER_WORKSPACE names the folders that commands may work in."
        return None

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema of `args`."""
        properties = {name: _schema(argument) for name, argument in self.arguments.items()}
        if self.workspace:
            text = "Folder to work in, below the workspace root; of several roots, the first part names one."
            properties[WORKSPACE] = {"type": "string", "description": text, "minLength": 1, "maxLength": MOST_PATH}
            properties[WORKSPACE]["default"] = "."
        required = [name for name, argument in self.arguments.items() if argument.required]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


@dataclass(frozen=True)
class Filled:
    """A command with its values in place."""

    argv: tuple[str, ...]
    """Without the program."""
    workspace: str
    paths: tuple[tuple[str, str, bool], ...]
    """(place, path, must exist) of what still has to be looked for in the workspace."""


def fill(command: Command, args: Mapping[str, object]) -> Filled:
    """The argument list of `command` for `args`.

    Raises:
        BadArguments: names each argument that does not fit.
    """
    known = {*command.arguments, *([WORKSPACE] if command.workspace else [])}
    problems = [(f"args.{name}", "is not an argument of this command") for name in args if name not in known]
    problems += [
        (f"args.{name}", "is missing")
        for name, it in command.arguments.items()
        if it.required and args.get(name) is None
    ]
    values = {name: value for name, value in args.items() if name in known and value is not None}
    for name, value in values.items():
        reason = _path_problem(value) if name == WORKSPACE else _problem(command.arguments[name], value)
        problems += [(f"args.{name}", reason)] if reason else []
    if problems:
        raise BadArguments.at(*((CONTROL.sub("?", place)[:200], reason) for place, reason in problems))
    argv = _items(command, values)
    if sum(len(item.encode()) + 1 for item in argv) > MOST_BYTES:
        raise BadArguments.at(("args", f"more than {MOST_BYTES} bytes in all"))
    paths = [
        (f"args.{name}", str(path), argument.must_exist)
        for name, argument in command.arguments.items()
        if argument.kind == "path" and name in values
        for path in _as_list(values[name])
    ]
    return Filled(argv, str(values.get(WORKSPACE, ".")), tuple(paths))


def placeholder(item: str) -> str | None:
    """The argument that an item of a template stands for; None: the item is literal."""
    found = PLACEHOLDER.fullmatch(item)
    return found[1] if found else None


def _items(command: Command, values: Mapping[str, object]) -> tuple[str, ...]:
    items: list[str] = []
    for item in command.argv:
        name = placeholder(item)
        if name is None:
            items.append(item)
        elif name in values:
            argument = command.arguments[name]
            made = [text for value in _as_list(values[name]) for text in _written(argument, value)]
            if argument.option is None and argument.flag is None and "--" not in items:
                _refuse_dashes(name, made)
            items += made
    return tuple(items)


def _refuse_dashes(name: str, made: list[str]) -> None:
    if any(text.startswith("-") for text in made):
        raise BadArguments.at((f"args.{name}", "must not begin with a dash"))


def _written(argument: Argument, value: object) -> list[str]:
    if argument.kind == "boolean":
        return [str(argument.flag)] if value else []
    text = f"./{value}" if argument.kind == "path" else str(value)
    return [f"{argument.option}={text}" if argument.option else text]


def _problem(argument: Argument, value: object) -> str | None:
    if argument.max_items is None:
        return PROBLEMS[argument.kind](argument, value)
    if not isinstance(value, list):
        return "must be a list"
    if not 1 <= len(value) <= argument.max_items:
        return f"must hold 1 to {argument.max_items} values"
    return next((reason for item in value if (reason := PROBLEMS[argument.kind](argument, item))), None)


def _string_problem(argument: Argument, value: object) -> str | None:
    if not isinstance(value, str):
        return "must be text"
    if CONTROL.search(value):
        return "must not hold control characters (such as a newline)"
    if len(value) > argument.max_length:
        return f"has more than {argument.max_length} characters"
    if argument.pattern is not None and not argument.pattern.fullmatch(value):
        return f"must match {argument.pattern.pattern}"
    return None


def _integer_problem(argument: Argument, value: object) -> str | None:
    if not isinstance(value, int) or isinstance(value, bool) or not argument.least <= value <= argument.most:
        return f"must be a whole number from {argument.least} to {argument.most}"
    return None


def _boolean_problem(argument: Argument, value: object) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _enum_problem(argument: Argument, value: object) -> str | None:
    return (
        None if isinstance(value, str) and value in argument.values else f"must be one of {', '.join(argument.values)}"
    )


def _path_problem(value: object) -> str | None:
    if not isinstance(value, str):
        return "must be text"
    if CONTROL.search(value):
        return "must not hold control characters (such as a newline)"
    if not 1 <= len(value) <= MOST_PATH:
        return f"must have 1 to {MOST_PATH} characters"
    if value != "." and any(part in {"", ".", ".."} for part in value.split("/")):
        return "must be a plain path inside the workspace: relative, no '..', no empty part"
    return None


PROBLEMS: Mapping[Kind, Callable[[Argument, object], str | None]] = {
    "string": _string_problem,
    "integer": _integer_problem,
    "boolean": _boolean_problem,
    "enum": _enum_problem,
    "path": lambda argument, value: _path_problem(value),
}


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _schema(argument: Argument) -> dict[str, Any]:
    of_kind: dict[Kind, dict[str, Any]] = {
        "string": {"type": "string", "maxLength": argument.max_length},
        "integer": {"type": "integer", "minimum": argument.least, "maximum": argument.most},
        "boolean": {"type": "boolean"},
        "enum": {"type": "string", "enum": list(argument.values)},
        "path": {"type": "string", "minLength": 1, "maxLength": MOST_PATH},
    }
    one = of_kind[argument.kind]
    if argument.pattern is not None:
        one["pattern"] = f"^(?:{argument.pattern.pattern})$"
    if argument.max_items is None:
        return {**one, "description": argument.description}
    items = {"type": "array", "items": one, "minItems": 1, "maxItems": argument.max_items}
    return {**items, "description": argument.description}
