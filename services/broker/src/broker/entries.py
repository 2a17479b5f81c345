"""Reads the allow-list file into commands. A mistake stops the start with FILE:LINE: KEY: reason.

config/commands.yaml ──> Located (kitty_core.located_yaml) ──> Command by name

A program is looked up once, here, along a fixed path and never along the PATH of whoever started the service. One that
is missing makes its command unavailable, which is no mistake: the same list serves many machines.
"""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from broker.allowlist import HAZARDS, KINDS, PLACEHOLDER, WORKSPACE, Argument, Command, Kind, placeholder
from kitty_core.located_yaml import Located, load_yaml

COMMAND_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
ARGUMENT_NAME = re.compile(r"[a-z][a-z0-9_]*")
OPTION = re.compile(r"--[a-z][a-z0-9-]*")
FLAG = re.compile(r"--?[A-Za-z][A-Za-z0-9-]*(=[\w-]+)?")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
NOT_TO_BE_SET = {"PATH", "HOME", "TMPDIR", "BASH_ENV", "ENV", "PYTHONPATH", "PYTHONSTARTUP"}
COMMAND_KEYS = (
    "description", "program", "argv", "args", "hazard_class", "timeout_sec", "output_kb", "workspace", "repository",
    "confined", "env",
)  # fmt: skip
KEYS_OF_KIND: Mapping[Kind, tuple[str, ...]] = {
    "string": ("pattern", "max_length", "option"),
    "integer": ("min", "max", "option"),
    "boolean": ("flag",),
    "enum": ("values", "option"),
    "path": ("option", "must_exist"),
}
NEEDED_OF_KIND: Mapping[Kind, tuple[str, ...]] = {
    "string": ("pattern",),
    "integer": ("min", "max"),
    "boolean": ("flag",),
    "enum": ("values",),
    "path": (),
}
MOST_TIMEOUT_SEC, MOST_OUTPUT_KB = 3600, 10_240


def load_commands(path: Path, search_path: str) -> dict[str, Command]:
    """The commands by name.

    Args:
        search_path: folders where programs are looked for, separated by `:`.

    Raises:
        ConfigurationError: the file cannot be read or a value is wrong; names the place.
    """
    entries = load_yaml(path).mapping(allowed=("commands",), required=("commands",))["commands"].mapping()
    return {name: _command(name, entry, search_path) for name, entry in entries.items()}


def _command(name: str, entry: Located, search_path: str) -> Command:
    if not COMMAND_NAME.fullmatch(name):
        raise entry.problem("a command's name is lower-case words joined by dots")
    keys = entry.mapping(COMMAND_KEYS, required=("description", "program", "hazard_class", "timeout_sec"))
    arguments = {key: _argument(key, value) for key, value in _optional(keys, "args").items()}
    program = keys["program"].text()
    hazard = next(known for known in HAZARDS if known == keys["hazard_class"].one_of(HAZARDS))
    command = Command(
        name=name,
        description=keys["description"].text(),
        program=program,
        executable=_found(keys["program"], search_path),
        argv=_template(keys["argv"], arguments) if "argv" in keys else (),
        arguments=arguments,
        hazard_class=hazard,
        timeout_sec=keys["timeout_sec"].whole(1, MOST_TIMEOUT_SEC),
        output_kb=keys["output_kb"].whole(1, MOST_OUTPUT_KB) if "output_kb" in keys else 256,
        workspace="workspace" in keys and keys["workspace"].flag(),
        repository="repository" in keys and keys["repository"].flag(),
        confined="confined" not in keys or keys["confined"].flag(),
        env={variable: _variable(variable, value) for variable, value in _optional(keys, "env").items()},
    )
    _fits_together(command, entry)
    return command


def _fits_together(command: Command, entry: Located) -> None:
    """What one key says about another."""
    used = [name for item in command.argv if (name := placeholder(item))]
    for name, argument in command.arguments.items():
        if used.count(name) != 1:
            raise entry.problem(f"the argument {name!r} must stand in argv once, as '{{{name}}}'")
        if argument.kind == "path" and not command.workspace:
            raise entry.problem(f"the argument {name!r} is a path, so the command needs workspace: true")
    if command.repository and not command.workspace:
        raise entry.problem("repository: true needs workspace: true")
    if not command.confined and command.hazard_class != "high":
        raise entry.problem("confined: false runs what it finds with the user's power, so hazard_class must be high")


def _argument(name: str, entry: Located) -> Argument:
    if not ARGUMENT_NAME.fullmatch(name) or name == WORKSPACE:
        raise entry.problem("an argument's name is a lower-case word ('workspace' is there by itself)")
    shared = ("type", "description", "required", "list")
    every = {key for keys in KEYS_OF_KIND.values() for key in keys}
    loose = entry.mapping((*shared, *every), required=("type", "description"))
    kind = next(known for known in KINDS if known == loose["type"].one_of(KINDS))
    keys = entry.mapping((*shared, *KEYS_OF_KIND[kind]), required=NEEDED_OF_KIND[kind])
    least = keys["min"].whole(-(2**53), 2**53) if "min" in keys else 0
    if kind == "boolean" and "list" in keys:
        raise keys["list"].problem("a boolean is no list")
    return Argument(
        name=name,
        kind=kind,
        description=keys["description"].text(),
        required="required" in keys and keys["required"].flag(),
        option=_matching(keys["option"], OPTION, "an option such as --max-count") if "option" in keys else None,
        flag=_matching(keys["flag"], FLAG, "a flag such as --staged") if "flag" in keys else None,
        pattern=_pattern(keys["pattern"]) if "pattern" in keys else None,
        max_length=keys["max_length"].whole(1, 4000) if "max_length" in keys else 200,
        least=least,
        most=keys["max"].whole(least, 2**53) if "max" in keys else 0,
        values=tuple(item.text() for item in keys["values"].items()) if "values" in keys else (),
        max_items=keys["list"].whole(1, 100) if "list" in keys else None,
        must_exist="must_exist" not in keys or keys["must_exist"].flag(),
    )


def _template(entry: Located, arguments: Mapping[str, Argument]) -> tuple[str, ...]:
    items = []
    for item in entry.items():
        text = item.text()
        name = placeholder(text)
        if name is None and PLACEHOLDER.search(text):
            raise item.problem("a placeholder is a whole item ('{name}'); options are given by the argument's `option`")
        if name is not None and name not in arguments:
            raise item.problem(f"no argument is called {name!r}")
        items.append(text)
    return tuple(items)


def _found(entry: Located, search_path: str) -> str | None:
    program = entry.text()
    if "/" in program:
        if not program.startswith("/"):
            raise entry.problem("a program is a plain name or an absolute path")
        return program if shutil.which(program) else None
    found = shutil.which(program, path=search_path)
    return str(Path(found).absolute()) if found else None


def _variable(name: str, entry: Located) -> str:
    if not VARIABLE.fullmatch(name) or name in NOT_TO_BE_SET or name.startswith("LD_"):
        raise entry.problem("this variable is not one that an entry may set")
    return entry.text()


def _pattern(entry: Located) -> re.Pattern[str]:
    try:
        return re.compile(entry.text(), re.ASCII)
    except re.error as error:
        raise entry.problem(f"is no regular expression: {error}") from error


def _matching(entry: Located, form: re.Pattern[str], example: str) -> str:
    text = entry.text()
    if not form.fullmatch(text):
        raise entry.problem(f"must be {example}")
    return text


def _optional(keys: Mapping[str, Located], name: str) -> dict[str, Located]:
    return keys[name].mapping() if name in keys else {}
