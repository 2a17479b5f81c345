"""The result on stdout, and nothing else there.

terminal   highlighted code and a panel with the verdict      pipe   the code alone: a valid Python file
json       the whole response                                stream-json   each event on a line of its own
"""

import json
import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from kitty_cli.progress import is_full_terminal
from kitty_cli.visible import visible
from kitty_cli.wording import Result, facts, verdict_line, verdict_words

ERROR_LINES = 12


class Output(StrEnum):
    TEXT = "text"
    JSON = "json"
    STREAM_JSON = "stream-json"


def write_json(document: Mapping[str, Any], *, indent: int | None = 2) -> None:
    _write(json.dumps(document, indent=indent, ensure_ascii=False))


def show_result(result: Result, quiet: bool) -> None:
    """Text output: on a terminal code and panel; elsewhere the code on stdout, the verdict on stderr."""
    code = str(result.get("code") or "").strip("\n")
    if is_full_terminal(sys.stdout.isatty()):
        _show_on_terminal(result, code)
        return
    if code:
        _write(code)
    if not quiet:
        print(f"kitty-cli: {visible(verdict_line(result))}", file=sys.stderr)
        if reason := _reason(result):
            print(reason, file=sys.stderr)


def show_change(result: Result, quiet: bool) -> None:
    """The diff on stdout, in colours on a terminal; the verdict on stderr."""
    diff = str(result.get("diff") or "").rstrip("\n")
    if diff and is_full_terminal(sys.stdout.isatty()):
        from rich.console import Console
        from rich.syntax import Syntax

        console = Console(highlight=False, no_color=bool(os.environ.get("NO_COLOR")))
        console.print(Syntax("", "diff", background_color="default").highlight(visible(diff)), soft_wrap=True)
    elif diff:
        _write(diff)
    if not quiet:
        line = verdict_line(result) if diff else f"Nothing was changed · {verdict_line(result)}"
        print(f"kitty-cli: {visible(line)}", file=sys.stderr)
        if reason := _reason(result):
            print(reason, file=sys.stderr)


def _write(text: str) -> None:
    """Python files and JSON are UTF-8, whatever the locale says."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", errors="surrogateescape") + b"\n")
    sys.stdout.buffer.flush()


def _show_on_terminal(result: Result, code: str) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.syntax import Syntax
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, no_color=bool(os.environ.get("NO_COLOR")))
    if code:
        shown = Syntax("", "python", background_color="default").highlight(visible(code))
        console.print(shown, soft_wrap=True)
    rows = Table.grid(padding=(0, 2))
    for label, text in facts(result):
        rows.add_row(Text(label, style="dim"), Text(visible(text)))
    if reason := _reason(result):
        rows.add_row(Text("reason", style="dim"), Text(reason))
    verdict = result.get("verdict")
    color = "green" if verdict == "verified" else "red" if verdict == "tests_failed" else "yellow"
    title = Text(verdict_words(result), style=f"bold {color}")
    console.print(Panel(rows, title=title, title_align="left", border_style=color, expand=False))


def _reason(result: Result) -> str:
    lines = visible(str(result.get("error") or "")).strip().splitlines()
    return "\n".join(lines[:ERROR_LINES] + (["…"] if len(lines) > ERROR_LINES else []))
