"""`audit` on the command line. The program that reads the trail knows databases, which this command line does without:
it becomes that program (`kitty_core.audit`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NoReturn

import typer

PROGRAM = "kitty_core.audit"
audit_app = typer.Typer(
    help="The audit trail: a row for each call of a tool, chained so that a change is found.", no_args_is_help=True
)
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


@audit_app.command("list")
def list_entries(
    tool: Annotated[str | None, typer.Option(metavar="NAME", help="Only this tool.")] = None,
    user: Annotated[str | None, typer.Option(metavar="ID", help="Only this user.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only from then on: ISO 8601, UTC unless it names a zone.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """The newest rows, newest first."""
    named = {"--tool": tool, "--user": user, "--since": since, "--limit": limit}
    _become("list", *_joined(named), *(["--json"] if as_json else []))


@audit_app.command()
def verify(
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An exported trail instead of the database.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Whether the chain is whole. Exit status 0: it is; 1: a row was changed, removed, moved or cut off."""
    _become("verify", *_joined({"--file": file}), *(["--json"] if as_json else []))


@audit_app.command()
def export(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Where to; else to stdout.")] = None,
) -> None:
    """All rows as JSON lines, which someone with the key can verify elsewhere."""
    _become("export", *([] if file is None else ["--", str(file)]))


@audit_app.command()
def prompts(
    erase: Annotated[bool, typer.Option("--erase", help="Erase them; the rows stay, and the chain is whole.")] = False,
    user: Annotated[str | None, typer.Option(metavar="ID", help="Only this user's.")] = None,
    before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only those before: ISO 8601, UTC unless it names a zone.")
    ] = None,
) -> None:
    """How many prompts are kept beside the trail (AUDIT_STORE_PROMPTS=true), and erasing them."""
    _become("prompts", *_joined({"--user": user, "--before": before}), *(["--erase"] if erase else []))


def _joined(options: Mapping[str, object]) -> list[str]:
    """`--name=value`, so that a value may begin with a dash; those without a value are left out."""
    return [f"{name}={value}" for name, value in options.items() if value is not None]


def _become(*words: str) -> NoReturn:
    from kitty_cli.evaluating import become

    become(PROGRAM, words)
