"""`kitty-cli`: the commands and their options. What a command does is imported when it runs: `--help` starts fast."""

import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from kitty_cli.audit_command import audit_app
from kitty_cli.command_name import command_name
from kitty_cli.eval_command import eval_app
from kitty_cli.exit_codes import ExitCode
from kitty_cli.jobs_command import jobs_app
from kitty_cli.leaving import leave
from kitty_cli.render import Output

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Python code with a verdict that was earned by running it, on this machine's own models. "
    "`code` leaves its service running for 15 minutes; `stop` ends it.",
    epilog="Exit status: 0 verified · 1 not verified · 2 usage · 3 configuration or no sandbox · 4 no model · "
    "5 out of time · 6 internal · 130 interrupted",
)
models_app = typer.Typer(help="The embedded models: what there is, fetch one, serve one.", no_args_is_help=True)
app.add_typer(models_app, name="models")
app.add_typer(eval_app, name="eval")
app.add_typer(audit_app, name="audit")
app.add_typer(jobs_app, name="jobs")
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False
) -> None:
    if version:
        from importlib.metadata import version as version_of

        print(f"kitty-cli {version_of('kitty-cli')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def code(
    request: Annotated[str, typer.Argument(metavar="REQUEST|-", help="What the code is to do; - reads it from stdin.")],
    tests: Annotated[Path | None, typer.Option(metavar="FILE", help="Your pytest file; it has the last word.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the module and its tests there.")] = None,
    tier: Annotated[
        str | None, typer.Option(metavar="fast|standard|deep", help="How much to spend; standard unless named.")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="A", help="An alias, a GGUF file, or a server's URL.")] = None,
    module: Annotated[
        str | None, typer.Option(metavar="NAME", help="File of the module; else what --tests import, else solution.py.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole response as JSON.")] = False,
    output_format: Annotated[Output, typer.Option(help="What goes to stdout.")] = Output.TEXT,
    timeout: Annotated[float | None, typer.Option(metavar="S", min=1, help="Seconds for the whole job.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Print the job's id and leave it running; `jobs watch ID` shows it.")
    ] = False,
    api: Annotated[str | None, typer.Option(metavar="URL", help="Use this service [$KITTY_API_BASE].")] = None,
) -> None:
    """Write a Python module, test it, and say what is proven."""
    from kitty_cli.coding import CodeOptions, run_code
    from kitty_cli.handing_in import hand_in

    if tier is not None and tier not in ("fast", "standard", "deep"):
        raise typer.BadParameter("choose fast, standard or deep", param_hint="--tier")
    output = Output.JSON if as_json else output_format
    options = CodeOptions(request, tests, out, tier, model, module, output, timeout, quiet, api)
    leave(lambda: hand_in(options) if detach else run_code(options), output)


@app.command()
def fix(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The module that is wrong.")],
    tests: Annotated[Path | None, typer.Option(metavar="FILE", help="A pytest file that fails on it.")] = None,
    error: Annotated[str | None, typer.Option(metavar="FILE|-", help="What was seen, such as a traceback.")] = None,
    request: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What it is to do; examples in it count as tests.")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Change FILE where the correction is verified.")] = False,
    tier: Annotated[str | None, typer.Option(metavar="fast|standard|deep", help="How much to spend.")] = None,
    model: Annotated[str | None, typer.Option(metavar="A", help="An alias, a GGUF file, or a server's URL.")] = None,
    as_json: Json = False,
    timeout: Annotated[float | None, typer.Option(metavar="S", min=1, help="Seconds for the whole job.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    api: Annotated[str | None, typer.Option(metavar="URL", help="Use this service [$KITTY_API_BASE].")] = None,
) -> None:
    """Correct a module so that its tests pass, and show the change; what passed before still passes."""
    from kitty_cli.fixing import FixOptions
    from kitty_cli.fixing import fix as correct

    if tier is not None and tier not in ("fast", "standard", "deep"):
        raise typer.BadParameter("choose fast, standard or deep", param_hint="--tier")
    options = FixOptions(file, tests, error, request, write, tier, model, as_json, timeout, quiet, api)
    leave(lambda: correct(options), Output.JSON if as_json else Output.TEXT)


@app.command()
def undo() -> None:
    """Take the newest change back that a command of this line has written into a file."""
    from kitty_cli.source_file import undo as take_back

    leave(take_back)


@app.command()
def say(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="It may begin with /agent on or /model NAME.")],
    agent: Annotated[
        bool | None,
        typer.Option("--agent/--no-agent", help="Whether tools may be called. Default: they may; the brain decides."),
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="A", help="Which model answers.")] = None,
    conversation: Annotated[
        str | None, typer.Option(metavar="ID", help="Go on with this one; an id that is not known begins one.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(metavar="S", min=1, help="Seconds for the whole answer.")] = None,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="The answer alone.")] = False,
    api: Annotated[str | None, typer.Option(metavar="URL", help="Use this gateway [$KITTY_API_BASE].")] = None,
) -> None:
    """Say something to the brain of the running stack: it answers, or calls a tool for it."""
    from kitty_cli.saying import SayOptions
    from kitty_cli.saying import say as say_once

    options = SayOptions(text, agent, model, conversation, timeout, as_json, quiet, api)
    leave(lambda: say_once(options), Output.JSON if as_json else Output.TEXT)


@app.command()
def shell(
    api: Annotated[str | None, typer.Option(metavar="URL", help="Use this gateway [$KITTY_API_BASE].")] = None,
) -> None:
    """Talk with the brain of the running stack, line by line; /help shows the commands."""
    from kitty_cli.shell import run_shell

    leave(lambda: run_shell(api))


@models_app.command("list")
def list_models(as_json: Json = False) -> None:
    """Models that can be fetched or are here."""
    from kitty_cli.models import show_models

    leave(lambda: show_models(as_json), Output.JSON if as_json else Output.TEXT)


@models_app.command()
def pull(
    name: Annotated[
        str | None, typer.Argument(metavar="[ALIAS|URL]", help="Default: advised for this machine.")
    ] = None,
) -> None:
    """Fetch a model; an interrupted one goes on where it stopped."""
    from kitty_cli.models import pull_model

    leave(lambda: pull_model(name))


@models_app.command()
def serve(
    name: Annotated[
        str | None, typer.Argument(metavar="[ALIAS|PATH]", help="Default: advised for this machine.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8087,
) -> None:
    """Serve a model on this machine until Ctrl-C."""
    from kitty_cli.models import serve_model

    leave(lambda: serve_model(name, port))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Look whether everything `code` needs is here, and say what to do where it is not."""
    from kitty_cli.doctor import examine

    leave(lambda: examine(as_json), Output.JSON if as_json else Output.TEXT)


@app.command()
def up(
    model: Annotated[str | None, typer.Option(metavar="A", help="An alias, a GGUF file, or a server's URL.")] = None,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    workspace: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Folder that commands of the broker may work in; more than one may be named."),
    ] = None,
) -> None:
    """Start the whole stack (gateway, brain, coder-agent, broker, model) and keep it running."""
    from kitty_cli.stack import up as start_stack

    leave(lambda: start_stack(model, as_json, quiet, workspace or ()), Output.JSON if as_json else Output.TEXT)


@app.command()
def worker(
    model: Annotated[
        str | None, typer.Option(metavar="A", help="Embedded alias, a GGUF file, or a server's URL.")
    ] = None,
    at_once: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=1000, help="Jobs at once [$CODER_JOBS_AT_ONCE].")
    ] = None,
    queue: Annotated[
        str | None, typer.Option(metavar="NAME", help="Take jobs from this queue [$JOBS_QUEUE]; the stack's: default.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Work for the database that $DATABASE_URL names, beside the stack and others, until Ctrl-C.

    Its models and its sandbox are this machine's. What it does not finish goes on elsewhere.
    """
    from kitty_cli.worker import WorkerOptions, work

    leave(lambda: work(WorkerOptions(model, at_once, queue, quiet)))


@app.command()
def down() -> None:
    """Stop what `up` started."""
    from kitty_cli.stack import down as stop_stack

    leave(stop_stack)


@app.command()
def status(as_json: Json = False) -> None:
    """Show what runs."""
    from kitty_cli.running import show_status

    leave(lambda: show_status(as_json), Output.JSON if as_json else Output.TEXT)


@app.command()
def stop() -> None:
    """Stop what `code` left running, and its model."""
    from kitty_cli.running import stop_all

    leave(stop_all)


@app.command()
def tools(as_json: Json = False) -> None:
    """The tools of the gateway, and how dangerous each is."""
    from kitty_cli.tool_calls import show_tools

    leave(lambda: show_tools(as_json), Output.JSON if as_json else Output.TEXT)


@app.command()
def confirm(
    pending_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Default: show all that wait.")] = None,
    message: Annotated[
        str | None, typer.Argument(metavar="[MESSAGE]", help="The phrase, or `no`; default: asked for on a terminal.")
    ] = None,
    as_json: Json = False,
    approval: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="The second admin's approval, for a call that needs one.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="As the second admin: write your approval there too.")
    ] = None,
) -> None:
    """Say your word for a call that waits for it. Only the exact phrase runs it, once.

    A call of somebody else that needs two persons is approved: the signed approval on stdout is for who asked.
    """
    from kitty_cli.tool_calls import confirm as say

    leave(lambda: say(pending_id, message, as_json, approval, out), Output.JSON if as_json else Output.TEXT)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def keys(context: typer.Context) -> None:
    """API keys of the gateway: create, list, revoke; its own options and --help."""
    from kitty_cli.evaluating import become

    become("gateway.keys", context.args)


def main() -> None:
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, TextIOWrapper):  # a terminal that lacks a letter shows its number
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name=command_name())
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)


if __name__ == "__main__":
    main()
