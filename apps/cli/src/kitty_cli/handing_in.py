"""`kitty-cli code --detach`: the job is handed in and goes on by itself; its id is the result."""

import sys
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from kitty_cli.asking import ask
from kitty_cli.client import call_waits
from kitty_cli.coding import CodeOptions, place_finder, read_body, sent_to
from kitty_cli.command_name import command_name
from kitty_cli.errors import ServiceFailed, ServiceIsGone, UsageProblem
from kitty_cli.exit_codes import ExitCode
from kitty_cli.job_lines import job_id_of, plain
from kitty_cli.locate import Destination, served
from kitty_cli.render import Output, write_json

PATH = "/api/coding/jobs"
ANSWERS_WITHIN_SEC = 60.0


def hand_in(options: CodeOptions) -> ExitCode:
    """Hands the job in and says how to watch it. Raises: CliError: it was not handed in."""
    if options.out is not None:
        raise UsageProblem(
            f"--out {options.out}: with --detach there is nothing to write yet. "
            f"`{command_name()} jobs watch ID --out DIR` writes it later."
        )
    body = read_body(options)
    key = {"Idempotency-Key": uuid4().hex}

    def use(place: Destination) -> dict[str, Any]:
        sent = sent_to(place, body)
        try:
            return ask(place.service, "POST", PATH, sent, key, ANSWERS_WITHIN_SEC)
        except ServiceIsGone:
            raise
        except ServiceFailed:  # it may have arrived: with the same key it is the same job
            return ask(place.service, "POST", PATH, sent, key, ANSWERS_WITHIN_SEC)

    _told(served(place_finder(options), use), options)
    return ExitCode.VERIFIED


def _told(job: Mapping[str, Any], options: CodeOptions) -> None:
    if job.get("requiresConfirmation"):
        try:
            raise call_waits(job)
        except KeyError:
            raise ServiceFailed("The service wants a confirmation, and does not say of what.") from None
    job_id = job_id_of(job)
    if options.output is Output.TEXT:
        print(plain(job_id))
    else:
        write_json(job, indent=2 if options.output is Output.JSON else None)
    if not options.quiet:
        print(f"kitty-cli: handed in; `{command_name()} jobs watch {plain(job_id)}` shows it.", file=sys.stderr)
