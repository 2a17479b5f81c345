"""What comes of a job, on stdout, in files, and as the exit status: the same for `code` and `jobs watch`."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kitty_cli import exit_codes
from kitty_cli.exit_codes import ExitCode
from kitty_cli.progress import Display, display_for
from kitty_cli.render import Output, show_result, write_json
from kitty_cli.saving import plain_module, save_files
from kitty_cli.sse import Event
from kitty_cli.visible import visible

DEFAULT_MODULE = "solution.py"
WHERE_TESTS_ARE = "The tests are not shown: `--out DIR` writes the module and its tests, `--json` gives everything."


@dataclass(frozen=True)
class Delivery:
    """How the result is wanted."""

    output: Output = Output.TEXT
    quiet: bool = False
    out: Path | None = None
    module: str = DEFAULT_MODULE
    """The file of the code, where the answer names none."""
    own_tests: tuple[str, str] | None = None
    """Name and text of the person's own test file."""


def event_writer(output: Output, display: Display) -> Callable[[Event], None]:
    """What is done with each event as it comes."""

    def write(event: Event) -> None:
        display.show(event)
        if output is Output.STREAM_JSON:
            write_json(event, indent=None)

    return write


def deliver(last: Event, wanted: Delivery) -> ExitCode:
    """Shows and saves what the last event of a job holds; returns its exit status.

    Raises:
        NotConfigured: a file cannot be written.
    """
    result = last.get("result")
    if not isinstance(result, Mapping):
        result = {}
    if wanted.output is Output.JSON:
        write_json(result or _error_document(last))
    elif wanted.output is Output.TEXT and result:
        is_told_below = last.get("type") == "error" and result.get("error") == last.get("error")
        show_result(dict(result) | ({"error": None} if is_told_below else {}), wanted.quiet)
        if result.get("tests") and wanted.out is None and wanted.own_tests is None:
            display_for(wanted.quiet).say(WHERE_TESTS_ARE)
    if wanted.out is not None and result.get("code"):
        for sentence in save_files(wanted.out, _files(wanted, result)):
            display_for(wanted.quiet).say(sentence)
    if last.get("type") == "error":
        print(f"kitty-cli: {visible(str(last.get('error') or 'The job failed.'))}", file=sys.stderr)
        return exit_codes.for_error(last.get("code"))
    return exit_codes.for_verdict(result.get("verdict", last.get("verdict")))


def _error_document(last: Event) -> dict[str, Any]:
    return {"passed": False, "verdict": None, "code": None, "error": last.get("error"), "error_code": last.get("code")}


def _files(wanted: Delivery, result: Mapping[str, Any]) -> dict[str, str]:
    module = plain_module(str(result.get("module") or wanted.module))
    files = {module: str(result["code"])}
    if wanted.own_tests is not None:
        name, text = wanted.own_tests
        files[name] = text
    elif tests := result.get("tests") or result.get("test_code"):
        files[f"test_{module}"] = str(tests)
    return files
