"""`kitty-cli code`: read the request → find or start the service → stream the job → show the result.

Ctrl-C (and SIGTERM) close the stream; the service then stops the model and the sandbox.
"""

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kitty_cli.caller_tests import read_tests
from kitty_cli.client import run_job
from kitty_cli.command_name import command_name
from kitty_cli.delivering import DEFAULT_MODULE, Delivery, deliver, event_writer
from kitty_cli.errors import UsageProblem
from kitty_cli.exit_codes import ExitCode
from kitty_cli.locate import Destination, locate, served
from kitty_cli.progress import display_for
from kitty_cli.render import Output
from kitty_cli.saving import plain_module, prepare_folder
from kitty_cli.sse import Event
from kitty_core.settings import environment

GRACE_SEC = 5.0
"""The service keeps the deadline; the client gives up so much later."""


@dataclass(frozen=True)
class CodeOptions:
    """The command line of `code`, as typed."""

    request: str
    tests: Path | None = None
    out: Path | None = None
    tier: str | None = None
    model: str | None = None
    module: str | None = None
    output: Output = Output.TEXT
    timeout: float | None = None
    quiet: bool = False
    api: str | None = None


def run_code(options: CodeOptions) -> ExitCode:
    """Runs the command. Everything that goes wrong is a `CliError`, `KeyboardInterrupt` an interruption."""
    body = read_body(options)
    if options.out is not None:
        prepare_folder(options.out)
    own = None if options.tests is None else (options.tests.name, str(body["tests"]))
    wanted = Delivery(options.output, options.quiet, options.out, _module(body), own)
    return deliver(_stream(options, body), wanted)


def read_body(options: CodeOptions) -> dict[str, Any]:
    """The JSON of the request, without the model.

    Raises:
        UsageProblem: the request is empty, or the test file is of no use.
    """
    request = _read_stdin() if options.request == "-" else options.request
    if not request.strip():
        raise UsageProblem(
            f"The request is empty. Say what the code is to do, for example: {command_name()} code 'fib(n)'"
        )
    body: dict[str, Any] = {"request": request}
    if options.tests is not None:
        body["tests"] = read_tests(options.tests)
    if options.module is not None:
        body["module"] = plain_module(options.module)
    if options.tier is not None:
        body["tier"] = options.tier
    if options.timeout is not None:
        body["deadline_seconds"] = options.timeout
    if options.tests is not None and options.out is not None and options.tests.name == _module(body):
        raise UsageProblem(f"--tests and the module are both called {options.tests.name}; name another with --module.")
    return body


def _read_stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise UsageProblem(f"The request on stdin is not UTF-8 text: {error}.") from error


def place_finder(options: CodeOptions) -> Callable[[], Destination]:
    """What finds the service of `code`, or starts it."""
    env, starter = environment(), display_for(options.quiet)
    return lambda: locate(options.api, options.model, env, starter.say, options.quiet)


def sent_to(place: Destination, body: Mapping[str, Any]) -> dict[str, Any]:
    """`body` as that service is to get it."""
    return dict(body) | ({"model": place.model} if place.model else {})


def _stream(options: CodeOptions, body: Mapping[str, Any]) -> Event:
    give_up_after = None if options.timeout is None else options.timeout + GRACE_SEC

    def use(place: Destination) -> Event:
        with display_for(options.quiet) as display:
            show = event_writer(options.output, display)
            return asyncio.run(run_job(place.service, sent_to(place, body), show, give_up_after))

    return served(place_finder(options), use)


def _module(body: Mapping[str, Any]) -> str:
    return str(body.get("module", DEFAULT_MODULE))
