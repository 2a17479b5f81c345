"""`kitty-cli code`: read the request → find or start the service → stream the job → show the result.

Ctrl-C (and SIGTERM) close the stream; the service then stops the model and the sandbox.
"""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kitty_cli import exit_codes
from kitty_cli.caller_tests import read_tests
from kitty_cli.command_name import command_name
from kitty_cli.errors import NotConfigured, ServiceIsGone, UsageProblem
from kitty_cli.exit_codes import ExitCode
from kitty_cli.progress import Display, display_for
from kitty_cli.render import Output, show_result, write_json
from kitty_cli.saving import plain_module, prepare_folder, save_files
from kitty_cli.sse import Event
from kitty_cli.visible import visible

DEFAULT_MODULE = "solution.py"
WHERE_TESTS_ARE = "The tests are not shown: `--out DIR` writes the module and its tests, `--json` gives everything."
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
    last = _stream(options, body)
    return _deliver(options, body, last)


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


def _stream(options: CodeOptions, body: Mapping[str, Any]) -> Event:
    from kitty_cli.client import run_job
    from kitty_cli.locate import locate
    from kitty_core.settings import environment

    env = environment()
    give_up_after = None if options.timeout is None else options.timeout + GRACE_SEC
    starter = display_for(options.quiet)
    for attempt in (1, 2):
        place = locate(options.api, options.model, env, starter.say, options.quiet)
        sent = dict(body) | ({"model": place.model} if place.model else {})
        try:
            with display_for(options.quiet) as display:
                show = _event_writer(options.output, display)
                return asyncio.run(run_job(place.service, sent, show, give_up_after))
        except ServiceIsGone as error:
            if place.explicit:
                raise NotConfigured(
                    f"Nothing answers at {place.service.base_url}. Start it, or unset --api, KITTY_API_BASE and "
                    f"CODER_AGENT_BASE: then {command_name()} starts what it needs."
                ) from error
            if attempt == 2:
                raise
    raise AssertionError("unreachable")


def _event_writer(output: Output, display: Display) -> Any:
    def write(event: Event) -> None:
        display.show(event)
        if output is Output.STREAM_JSON:
            write_json(event, indent=None)

    return write


def _deliver(options: CodeOptions, body: Mapping[str, Any], last: Event) -> ExitCode:
    result = last.get("result")
    if not isinstance(result, Mapping):
        result = {}
    if options.output is Output.JSON:
        write_json(result or _error_document(last))
    elif options.output is Output.TEXT and result:
        is_told_below = last.get("type") == "error" and result.get("error") == last.get("error")
        show_result(dict(result) | ({"error": None} if is_told_below else {}), options.quiet)
        if result.get("tests") and options.out is None and options.tests is None:
            display_for(options.quiet).say(WHERE_TESTS_ARE)
    if options.out is not None and result.get("code"):
        for sentence in save_files(options.out, _files(options, body, result)):
            display_for(options.quiet).say(sentence)
    if last.get("type") == "error":
        print(f"kitty-cli: {visible(str(last.get('error') or 'The job failed.'))}", file=sys.stderr)
        return exit_codes.for_error(last.get("code"))
    return exit_codes.for_verdict(result.get("verdict", last.get("verdict")))


def _error_document(last: Event) -> dict[str, Any]:
    return {"passed": False, "verdict": None, "code": None, "error": last.get("error"), "error_code": last.get("code")}


def _files(options: CodeOptions, body: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, str]:
    module = plain_module(str(result.get("module") or _module(body)))
    files = {module: str(result["code"])}
    if options.tests is not None:
        files[options.tests.name] = str(body["tests"])
    elif tests := result.get("tests") or result.get("test_code"):
        files[f"test_{module}"] = str(tests)
    return files


def _module(body: Mapping[str, Any]) -> str:
    return str(body.get("module", DEFAULT_MODULE))
