"""`eval` on the command line: FILE alone means `run`, so that the common case is short."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

RUN = "run"


class FileOrCommand(TyperGroup):
    """`eval FILE …` is `eval run FILE …`. A file called `report` is written `./report`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        if args and args[0] not in (*self.commands, "--help"):
            args = [RUN, *args]
        return super().parse_args(ctx, args)

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """The commands, and below them the usual call `eval FILE` with its options."""
        super().format_help(ctx, formatter)
        self.commands[RUN].format_help(ctx, formatter)


eval_app = typer.Typer(
    cls=FileOrCommand,
    help="Which model and tier are worth it here: `eval FILE` solves tasks with hidden tests and counts.",
    subcommand_metavar="FILE | COMMAND [ARGS]...",
    no_args_is_help=True,
)
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Where records and report go.")]
Json = Annotated[bool, typer.Option("--json", help="The report as JSON on stdout.")]


@eval_app.command(RUN)
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Tasks, one JSON object a line (evals/README.md).")],
    tier: Annotated[
        Literal["fast", "standard", "deep"],
        typer.Option(metavar="fast|standard|deep", help="How much to spend on a task."),
    ] = "standard",
    model: Annotated[
        str | None, typer.Option(metavar="A", help="An alias, a GGUF file, or the URL of a model server.")
    ] = None,
    base: Annotated[str | None, typer.Option(metavar="URL", help="Use this coder-agent; else one is started.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many tasks.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Every task, every second one (2), third (3), …")] = 1,
    offset: Annotated[int, typer.Option(min=0, help="Begin with this task, counted from 0.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the records of this file, tier and model end.")
    ] = False,
    compare: Annotated[Literal["raw"] | None, typer.Option(metavar="raw", help="The model alone as well.")] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Solve the tasks of FILE, grade the answers with the hidden tests, and report. `eval FILE` is enough."""
    from kitty_cli.evaluating import become, options_in_words

    options: dict[str, object] = {"--tier": tier, "--model": model, "--base": base, "--limit": limit, "--every": every}
    options |= {"--offset": offset, "--resume": resume, "--compare": compare, "--out": out, "--json": as_json}
    become("kitty_evals", ["run", str(file), *options_in_words(options)])


@eval_app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR…", help="What `eval FILE` has written to.")],
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Several runs in one table and one picture."""
    from kitty_cli.evaluating import become, options_in_words

    options = options_in_words({"--out": out, "--json": as_json})
    become("kitty_evals", ["report", *map(str, folders), *options])


@eval_app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def replay(context: typer.Context) -> None:
    """Decide again from what a run has recorded, without a model; its own options and --help."""
    from kitty_cli.evaluating import become

    become("coder_agent.replay", context.args)
