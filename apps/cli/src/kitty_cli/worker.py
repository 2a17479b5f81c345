"""`kitty-cli worker`: one more coder-agent for a database that others work for too, in the foreground.

models (as for `code`) ─> environment ─> this process becomes `coder_agent.main`; SIGTERM and Ctrl-C are its own
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import urlsplit

from kitty_cli.errors import NotConfigured
from kitty_cli.evaluating import become
from kitty_cli.model_plan import make_plan, pull_what_is_missing
from kitty_cli.progress import display_for
from kitty_core.settings import environment

SHARED = ("postgres", "postgresql", "postgresql+psycopg", "sqlite")


@dataclass(frozen=True)
class WorkerOptions:
    """What the command line says; None: what the environment says."""

    model: str | None = None
    at_once: int | None = None
    queue: str | None = None
    quiet: bool = False


def work(options: WorkerOptions) -> NoReturn:
    """Becomes a worker.

    Raises:
        NotConfigured: there is no database to share, or the engine cannot run here. NoModel: no model can be had.
    """
    env = environment()
    where = _database(env)
    with display_for(options.quiet) as display:
        plan = pull_what_is_missing(make_plan(options.model, env), display.say, options.quiet)
        env = worker_environment(plan.env, options, plan.start_with)
        for line in _about(env, where):
            display.say(line)
    become("coder_agent.main", env=env)


def worker_environment(env: Mapping[str, str], options: WorkerOptions, model: str) -> dict[str, str]:
    """What the service is told: it never stops by itself, and listens on a free port where none is named."""
    told = {name: value for name, value in env.items() if name != "KITTY_IDLE_STOP_SEC"}
    named = {"KITTY_MODEL": model, "CODER_JOBS_AT_ONCE": options.at_once, "JOBS_QUEUE": options.queue}
    told |= {name: str(value) for name, value in named.items() if value}
    return {**told, "CODER_PORT": told.get("CODER_PORT") or "0"}


def _database(env: Mapping[str, str]) -> str:
    """The database without its password. Raises: NotConfigured: none is named, or it is no such address."""
    given = env.get("DATABASE_URL", "").strip()
    wanted = "name the database that the stack uses, postgresql://USER:PASSWORD@HOST/NAME"
    if not given:
        raise NotConfigured(f"DATABASE_URL is not set: {wanted}.")
    try:
        parts = urlsplit(given)
        if parts.scheme not in SHARED:
            raise ValueError
        host = parts.hostname and f"{parts.hostname}:{parts.port or 5432}"
    except ValueError:  # it may hold a password: it is not repeated
        raise NotConfigured(f"DATABASE_URL is no address of a database: {wanted}.") from None
    return f"{parts.scheme.partition('+')[0]}://{host or ''}{parts.path}"


def _about(env: Mapping[str, str], where: str) -> Iterator[str]:
    queue = env.get("JOBS_QUEUE") or "default"
    yield f"A worker of the queue {queue} at {where}. Ctrl-C ends it; what it has not finished goes on elsewhere."
    if not env.get("AUDIT_KEY"):
        yield "AUDIT_KEY is not set: on another machine than the stack's it has to be the stack's key."
