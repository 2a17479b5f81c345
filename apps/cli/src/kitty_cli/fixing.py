"""`kitty-cli fix FILE`: a module and what shows that it is wrong → the service → the change as a diff → the file.

FILE, --tests, --error, --request ─> body ─> POST /api/coding/fix ─> diff on stdout ─┬─ verified and --write: FILE
                                                                                  └─ else nothing is written
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kitty_cli import exit_codes
from kitty_cli.caller_tests import read_tests
from kitty_cli.client import whole_answer
from kitty_cli.command_name import command_name
from kitty_cli.errors import UsageProblem
from kitty_cli.exit_codes import ExitCode
from kitty_cli.locate import Destination, locate, served
from kitty_cli.progress import display_for
from kitty_cli.render import show_change, write_json
from kitty_cli.source_file import SourceFile
from kitty_core.settings import environment

PATH = "/api/coding/fix"
GRACE_SEC = 5.0
"""The service keeps the deadline; the client gives up so much later."""
MOST_FILES = 50


@dataclass(frozen=True)
class FixOptions:
    """The command line of `fix`, as typed."""

    file: Path
    tests: Path | None = None
    error: str | None = None
    request: str | None = None
    write: bool = False
    tier: str | None = None
    model: str | None = None
    as_json: bool = False
    timeout: float | None = None
    quiet: bool = False
    api: str | None = None


def fix(options: FixOptions) -> ExitCode:
    """Runs the command.

    Raises:
        CliError: it cannot be done, or the file changed meanwhile.
    """
    source = SourceFile.read(options.file)
    body = read_body(options, source)
    env, display = environment(), display_for(options.quiet)

    def find() -> Destination:
        return locate(options.api, options.model, env, display.say, options.quiet)

    def ask(place: Destination) -> Mapping[str, Any]:
        display.say(f"Correcting {options.file}.")
        sent = body | ({"model": place.model} if place.model else {})
        within = None if options.timeout is None else options.timeout + GRACE_SEC
        return whole_answer(place.service, PATH, sent, within)

    answer = served(find, ask)
    if options.as_json:
        write_json(answer)
    else:
        show_change(answer, options.quiet)
    if options.write and answer.get("diff"):
        if answer.get("verdict") == "verified":
            source.replace(str(answer["code"]))
            display.say(f"Wrote {options.file}. `{command_name()} undo` takes it back.")
        else:
            display.say(f"{options.file} was not written: the correction is not verified.")
    return exit_codes.for_verdict(answer.get("verdict"))


def read_body(options: FixOptions, source: SourceFile) -> dict[str, Any]:
    """The JSON of the request, without the model.

    Raises:
        UsageProblem: nothing shows what is wrong, or a file is of no use.
    """
    if options.tests is None and options.error is None and options.request is None:
        raise UsageProblem(
            f"What is wrong with {options.file}? Name tests that fail (--tests FILE), what was seen (--error FILE, or "
            "--error - from stdin), or what it is to do, with examples (--request TEXT)."
        )
    body: dict[str, Any] = {"code": source.text, "module": options.file.name}
    if options.tests is not None:
        body["tests"] = read_tests(options.tests)
    if options.error is not None:
        body["error"] = _read_error(options.error)
    named = {"request": options.request, "tier": options.tier, "deadline_seconds": options.timeout}
    body |= {name: value for name, value in named.items() if value is not None}
    files = dict(files_beside(options.file, [source.text, body.get("tests", "")]))
    return body | ({"files": files} if files else {})


def files_beside(file: Path, texts: list[str]) -> Iterator[tuple[str, str]]:
    """Name and text of the modules beside `file` that `texts` import, and that these import."""
    known, waiting = {file.name}, list(texts)
    while waiting and len(known) <= MOST_FILES:
        for name in _imported(waiting.pop()):
            beside = file.parent / f"{name}.py"
            if beside.name not in known and beside.is_file():
                known.add(beside.name)
                text = SourceFile.read(beside).text
                waiting.append(text)
                yield beside.name, text


def _imported(text: str) -> Iterator[str]:
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.partition(".")[0]


def _read_error(place: str) -> str:
    try:
        return sys.stdin.read() if place == "-" else Path(place).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageProblem(f"--error {place} cannot be read: {error.strerror}.") from error
