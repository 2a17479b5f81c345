"""What a tool made, as a person at a terminal expects it.

a command's ending   its stdout and stderr on ours, then how it ended where not with 0
code                 as `kitty-cli code` shows it
a text               as it is
anything else        JSON
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from kitty_cli.render import show_result
from kitty_cli.visible import visible


def show_tool_result(result: Any) -> None:
    """Shows the `result` of a call that was made."""
    if isinstance(result, str):
        _print(result)
    elif _is_ending(result):
        _show_ending(result)
    elif isinstance(result, Mapping) and result.get("verdict") and isinstance(result.get("code"), str):
        show_result(result, quiet=False)
    else:
        _print(json.dumps(result, indent=2, ensure_ascii=False))


def _is_ending(result: Any) -> bool:
    """Whether it says how a command of the broker ended."""
    return isinstance(result, Mapping) and "exit_code" in result and isinstance(result.get("stdout"), str)


def _show_ending(result: Mapping[str, Any]) -> None:
    stdout, stderr = str(result["stdout"]), str(result.get("stderr") or "")
    _print(stdout)
    sys.stdout.flush()
    _print(stderr, to_stderr=True)
    for line in _ending_lines(result, is_silent=not stdout and not stderr):
        _print(line, to_stderr=True)


def _ending_lines(result: Mapping[str, Any], *, is_silent: bool) -> list[str]:
    name = result.get("command") or "The command"
    lines = [
        f"{name} wrote {result[f'{stream}_discarded']} bytes more to {stream}, which were not kept."
        for stream in ("stdout", "stderr")
        if result.get(f"{stream}_discarded")
    ]
    if error := result.get("error"):
        lines.append(str(error))
    elif result["exit_code"] != 0 or is_silent:
        lines.append(f"{name} ended with exit code {result['exit_code']}{' and printed nothing' if is_silent else ''}.")
    return lines


def _print(text: str, *, to_stderr: bool = False) -> None:
    if text:
        print(visible(text), end="" if text.endswith("\n") else "\n", file=sys.stderr if to_stderr else sys.stdout)
