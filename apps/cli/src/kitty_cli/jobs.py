"""`kitty-cli jobs`: what was handed in, and how it is. At the gateway of a stack, else at a coder-agent of `code`."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kitty_cli.asking import ask, listed
from kitty_cli.client import Service
from kitty_cli.command_name import command_name
from kitty_cli.delivering import Delivery, deliver, event_writer
from kitty_cli.errors import UsageProblem
from kitty_cli.exit_codes import ExitCode
from kitty_cli.following import Following
from kitty_cli.handing_in import ANSWERS_WITHIN_SEC, PATH
from kitty_cli.job_lines import (
    Job,
    has_ended,
    job_id_of,
    last_event_of,
    list_lines,
    plain,
    show_lines,
    state_of,
    what_next,
)
from kitty_cli.locate import Destination, locate_jobs, served
from kitty_cli.progress import display_for
from kitty_cli.render import Output, write_json
from kitty_cli.saving import prepare_folder
from kitty_core.settings import environment

LEAST_OF_AN_ID = 4
WHOLE_ID = 32
MOST_LISTED = 500
CANCELLED_WITHIN_SEC = 10.0
POLL_SEC = 0.2


class NoJobs(UsageProblem):
    """None was ever handed in here."""


class Jobs:
    """The jobs of the service that is found, when it is first asked. Implements `following.Place`."""

    def __init__(self, api: str | None, quiet: bool) -> None:
        self._api = api
        self._quiet = quiet
        self._place: Destination | None = None

    @property
    def service(self) -> Service:
        """Raises: NoJobs, NotConfigured, NoModel."""
        return self._found().service

    def find_anew(self) -> None:
        if self._place is not None and not self._place.explicit:
            self._place = None

    def ask(self, method: str, rest: str = "") -> dict[str, Any]:
        """The answer to `method` at the path of jobs, and below it `rest`. Raises: CliError."""

        def use(place: Destination) -> dict[str, Any]:
            self._place = None  # until it has answered
            answer = ask(place.service, method, f"{PATH}{rest}", within_sec=ANSWERS_WITHIN_SEC)
            self._place = place
            return answer

        return served(self._found, use)

    def newest(self, limit: int) -> list[dict[str, Any]]:
        """The newest jobs first. Raises: CliError."""
        return listed(self.ask("GET", f"?limit={limit}"), "jobs")

    def id_of(self, text: str) -> str:
        """The whole id of the one job whose id begins with `text`.

        Raises:
            UsageProblem: there is none, or more than one.
        """
        beginning = text.strip().lower()
        if len(beginning) < LEAST_OF_AN_ID:
            raise UsageProblem(f"{plain(text)!r} is too little of an id: {LEAST_OF_AN_ID} characters are the least.")
        if len(beginning) >= WHOLE_ID:
            return beginning
        newest = [job_id_of(job) for job in self.newest(MOST_LISTED)]
        found = [job_id for job_id in newest if job_id.startswith(beginning)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageProblem(f"More than one id begins with {plain(text)}: {', '.join(map(plain, found[:10]))}.")
        beyond = (
            f" Of older ones than the newest {MOST_LISTED} give the whole id." if len(newest) >= MOST_LISTED else ""
        )
        raise UsageProblem(f"No job {plain(text)} is known. `{command_name()} jobs list` shows them.{beyond}")

    def look(self, job_id: str) -> dict[str, Any]:
        """The job. Raises: ServiceRefused: there is none of that id, or it is another user's."""
        return self.ask("GET", _below(job_id))

    def change(self, job_id: str, action: str) -> dict[str, Any]:
        """The job once it was told to `cancel` or `resume`. Raises: ServiceRefused: it cannot be."""
        return self.ask("POST", f"{_below(job_id)}/{action}")

    def _found(self) -> Destination:
        if self._place is None:
            place = locate_jobs(self._api, environment(), display_for(self._quiet).say, self._quiet)
            if place is None:
                raise NoJobs(f"No job was ever handed in here. `{command_name()} code --detach …` hands one in.")
            self._place = place
        return self._place


@dataclass(frozen=True)
class WatchOptions:
    """The command line of `jobs watch`, as typed."""

    job_id: str
    output: Output = Output.TEXT
    out: Path | None = None
    quiet: bool = False
    api: str | None = None


def show_list(limit: int, as_json: bool, api: str | None) -> ExitCode:
    """The newest jobs, a line each."""
    try:
        newest = Jobs(api, quiet=False).newest(limit)
    except NoJobs:
        newest = []
    if as_json:
        write_json({"jobs": newest})
    elif newest:
        print("\n".join(list_lines(newest)))
    else:
        print("There are no jobs.", file=sys.stderr)
    return ExitCode.VERIFIED


def show_job(text: str, as_json: bool, api: str | None) -> ExitCode:
    """One job, and which command goes on from there."""
    jobs = Jobs(api, quiet=False)
    job = jobs.look(jobs.id_of(text))
    if as_json:
        write_json(job)
    else:
        print("\n".join(show_lines(job)))
        print(f"kitty-cli: {what_next(job, command_name())}", file=sys.stderr)
    return ExitCode.VERIFIED


def watch(options: WatchOptions) -> ExitCode:
    """Follows a job to its end; then as `code`. Ctrl-C ends the watching, not the job."""
    if options.out is not None:
        prepare_folder(options.out)
    jobs = Jobs(options.api, options.quiet)
    job = jobs.look(jobs.id_of(options.job_id))
    return _watched(jobs, job, options)


def cancel(text: str, api: str | None) -> ExitCode:
    """Ends a job, and waits until it has ended."""
    jobs = Jobs(api, quiet=False)
    job_id = jobs.id_of(text)
    before = jobs.look(job_id)
    job = before if has_ended(before) else jobs.change(job_id, "cancel")
    until = time.monotonic() + CANCELLED_WITHIN_SEC
    while not has_ended(job) and time.monotonic() < until:
        time.sleep(POLL_SEC)
        job = jobs.look(job_id)
    had_ended = " (it had ended before)" if has_ended(before) else ""
    print(f"{plain(job_id)}: {state_of(job)}{had_ended}")
    return ExitCode.VERIFIED


def resume(text: str, then_watch: bool, api: str | None) -> ExitCode:
    """Has a cancelled or failed job go on; with `then_watch` to its end, as `watch` does."""
    jobs = Jobs(api, quiet=False)
    job_id = jobs.id_of(text)
    before = jobs.look(job_id)
    job = jobs.change(job_id, "resume")
    if then_watch:
        behind = before.get("last_event")
        return _watched(jobs, job, WatchOptions(job_id, api=api), behind if isinstance(behind, int) else 0)
    print(f"{plain(job_id)}: {state_of(job)}")
    print(f"kitty-cli: {what_next(job, command_name())}", file=sys.stderr)
    return ExitCode.VERIFIED


def _watched(jobs: Jobs, job: Job, options: WatchOptions, behind: int = 0) -> ExitCode:
    job_id = job_id_of(job)
    try:
        with display_for(options.quiet) as display:
            if not has_ended(job) and job.get("queue_position"):
                display.say(f"It is {state_of(job)}.")
            following = Following(job_id, event_writer(options.output, display), behind)
            last = following.follow(jobs, display.say)
        if last is None:
            last = last_event_of(jobs.look(job_id))
    except KeyboardInterrupt:
        _tell_how_to_go_on(job_id)
        return ExitCode.INTERRUPTED
    return deliver(last, Delivery(options.output, options.quiet, options.out))


def _tell_how_to_go_on(job_id: str) -> None:
    jobs = f"{command_name()} jobs"
    told = f"the job goes on. `{jobs} watch {plain(job_id)}` shows it again, `{jobs} cancel {plain(job_id)}` ends it."
    print(f"kitty-cli: {told}", file=sys.stderr)


def _below(job_id: str) -> str:
    return f"/{quote(job_id, safe='')}"
