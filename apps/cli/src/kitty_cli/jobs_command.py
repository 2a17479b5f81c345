"""`jobs` on the command line."""

from pathlib import Path
from typing import Annotated

import typer

from kitty_cli.leaving import leave
from kitty_cli.render import Output

jobs_app = typer.Typer(
    help="Jobs that go on by themselves, of `code --detach` and of others: look at them, follow, cancel, resume.",
    no_args_is_help=True,
)
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="4 characters of its beginning or more, if no other has them.")]
Api = Annotated[str | None, typer.Option(metavar="URL", help="Use this service [$KITTY_API_BASE].")]


@jobs_app.command("list")
def list_jobs(
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=500, help="At most so many.")] = 20,
    as_json: Json = False,
    api: Api = None,
) -> None:
    """The newest jobs, newest first: yours, an admin's everybody's."""
    from kitty_cli.jobs import show_list

    leave(lambda: show_list(limit, as_json, api), Output.JSON if as_json else Output.TEXT)


@jobs_app.command()
def show(job_id: Id, as_json: Json = False, api: Api = None) -> None:
    """How a job is; with --json its result, too."""
    from kitty_cli.jobs import show_job

    leave(lambda: show_job(job_id, as_json, api), Output.JSON if as_json else Output.TEXT)


@jobs_app.command()
def watch(
    job_id: Id,
    as_json: Annotated[bool, typer.Option("--json", help="The whole response as JSON.")] = False,
    output_format: Annotated[Output, typer.Option(help="What goes to stdout.")] = Output.TEXT,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the module and its tests there.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    api: Api = None,
) -> None:
    """Follow a job to its end; output and exit status are those of `code`. Ctrl-C leaves the job running."""
    from kitty_cli.jobs import WatchOptions
    from kitty_cli.jobs import watch as follow

    output = Output.JSON if as_json else output_format
    leave(lambda: follow(WatchOptions(job_id, output, out, quiet, api)), output)


@jobs_app.command()
def cancel(job_id: Id, api: Api = None) -> None:
    """End a job; one that has ended stays as it is."""
    from kitty_cli.jobs import cancel as end

    leave(lambda: end(job_id, api))


@jobs_app.command()
def prune(
    days: Annotated[
        float | None, typer.Option(metavar="D", min=0, help="Ended more than so many days ago [$JOBS_KEPT_DAYS].")
    ] = None,
    keep: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="All but the newest so many [$JOBS_KEPT].")
    ] = None,
) -> None:
    """Delete jobs that have ended, with their events, in the database ($DATABASE_URL, else a file here).

    A coder-agent does it once an hour by itself. Audit rows stay.
    """
    from kitty_cli.evaluating import become, options_in_words

    become("coder_agent.pruning", options_in_words({"--days": days, "--keep": keep}))


@jobs_app.command()
def resume(
    job_id: Id,
    then_watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end, as `watch` does.")] = False,
    api: Api = None,
) -> None:
    """Have a job that was cancelled or has failed go on behind its last finished step."""
    from kitty_cli.jobs import resume as go_on

    leave(lambda: go_on(job_id, then_watch, api))
