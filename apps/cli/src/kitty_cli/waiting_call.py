"""What a person would allow: the arguments of a call that waits, none hidden, none acting on the terminal. Pure."""

import json
from collections.abc import Mapping

from kitty_cli.command_name import command_name

MOST_ARGUMENTS = 20
MOST_CHARACTERS = 400
KEPT_AT_END = 100
"""Of a value that is shortened: what follows last is what a long beginning would hide."""


def argument_lines(arguments: object) -> list[str]:
    """A line an argument, `name: JSON`; three where it is long; last how to see what was left out.

    What no terminal prints (control characters, invisible letters, ones that reorder a line) is escaped, so that no
    value looks like a line of ours.
    """
    if not isinstance(arguments, Mapping):
        return []
    told = [
        f"{_plain(str(name))}: {_plain(json.dumps(value, ensure_ascii=False))}" for name, value in arguments.items()
    ]
    lines = [line for text in told[:MOST_ARGUMENTS] for line in _lines_of(text)]
    if len(told) > MOST_ARGUMENTS:
        lines.append(f"    … {len(told) - MOST_ARGUMENTS} arguments more …")
    if lines != [f"  {text}" for text in told]:
        lines.append(f"  `{command_name()} confirm --json` shows what is left out here.")
    return lines


def _lines_of(text: str) -> list[str]:
    if len(text) <= MOST_CHARACTERS:
        return [f"  {text}"]
    left_out = len(text) - MOST_CHARACTERS
    beginning, end = text[: MOST_CHARACTERS - KEPT_AT_END], text[-KEPT_AT_END:]
    return [f"  {beginning}", f"    … {left_out} characters more …", f"  {end}"]


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)
