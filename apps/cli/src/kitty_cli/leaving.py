"""How a command ends: with an exit status, whatever happened. The only place that turns errors into one."""

import signal
import sys
from collections.abc import Callable
from types import FrameType

import typer

from kitty_cli.errors import CliError, Terminated
from kitty_cli.exit_codes import ExitCode
from kitty_cli.render import Output


def leave(command: Callable[[], ExitCode], output: Output = Output.TEXT) -> None:
    """Runs a command and leaves with its exit status."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        status = command()
    except CliError as error:
        status = _tell(error, output)
    except KeyboardInterrupt:
        print("kitty-cli: cancelled", file=sys.stderr)
        status = ExitCode.INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 -- the one place that gives every failure its exit status
        from kitty_cli.translate import translate

        status = _tell(translate(error), output)
    raise typer.Exit(status)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _tell(error: CliError, output: Output) -> ExitCode:
    from kitty_cli.render import write_json
    from kitty_cli.visible import visible

    print(f"kitty-cli: {visible(error.message)}", file=sys.stderr)
    if output is Output.JSON:
        nothing = {"passed": False, "verdict": None, "code": None}
        write_json(nothing | dict(error.facts) | {"error": error.message, "error_code": error.code})
    elif output is Output.STREAM_JSON:
        write_json({**error.facts, "type": "error", "error": error.message, "code": error.code}, indent=None)
    return error.exit_code
