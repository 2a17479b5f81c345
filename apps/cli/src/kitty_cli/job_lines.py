"""Jobs in words. Pure; what a service sent is shown without anything a terminal would act on."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from kitty_cli.errors import ServiceFailed
from kitty_cli.visible import visible

Job = Mapping[str, Any]
ENDED = frozenset({"succeeded", "failed", "cancelled"})
CAN_GO_ON = frozenset({"failed", "cancelled"})
SHORTEST_ID = 8
WIDEST_REQUEST = 60


def plain(text: object) -> str:
    """`text` on one line, without control characters; empty for None."""
    return "" if text is None else visible(" ".join(str(text).split()))


def job_id_of(job: Job) -> str:
    """Raises: ServiceFailed: it names none."""
    job_id = job.get("job_id")
    if not isinstance(job_id, str) or not job_id:
        raise ServiceFailed("The service sent a job without its id.")
    return job_id


def has_ended(job: Job) -> bool:
    return job.get("status") in ENDED


def state_of(job: Job) -> str:
    """How it is, in a word or two: the verdict where it has ended."""
    status = plain(job.get("status")) or "unknown"
    if has_ended(job):
        return plain(job.get("verdict")) or status
    if job.get("cancel_requested"):
        return "being cancelled"
    if status == "queued" and job.get("queue_position"):
        return f"queued, {plain(job['queue_position'])} in line"
    return status


def list_lines(jobs: Sequence[Job]) -> list[str]:
    """A line a job: as much of its id as tells it from the others, how it is, when it came, and what it is about."""
    ids = [plain(job_id_of(job)) for job in jobs]
    width = _telling_width(ids)
    users = {job.get("user_id") for job in jobs}
    lines = []
    for id, job in zip(ids, jobs, strict=True):
        whose = f"{plain(job.get('user_id')):<10}  " if len(users) > 1 else ""
        about = _shortened(plain(job.get("request")))
        lines.append(f"{id[:width]}  {state_of(job):<19}  {moment(job.get('created_at')):<16}  {whose}{about}")
    return lines


def show_lines(job: Job) -> list[str]:
    """Everything about one job but its result."""
    error = job.get("error")
    said = f"{error.get('code')}: {error.get('detail')}" if isinstance(error, Mapping) else None
    attempt = job.get("attempt")
    rows = [
        ("job", job_id_of(job)),
        ("state", state_of(job)),
        ("queue", job.get("queue") if job.get("status") == "queued" else None),
        ("step", None if has_ended(job) else job.get("step")),
        ("request", job.get("request")),
        ("tier", job.get("tier")),
        ("user", job.get("user_id")),
        ("conversation", job.get("conversation_id")),
        ("handed in", moment(job.get("created_at"))),
        ("begun", moment(job.get("started_at"))),
        ("ended", moment(job.get("finished_at"))),
        ("attempts", attempt if isinstance(attempt, int) and attempt > 1 else None),
        ("error", said),
    ]
    return [f"{label:<13} {plain(text)}" for label, text in rows if text not in (None, "")]


def what_next(job: Job, command: str) -> str:
    """The command that goes on from here."""
    named = f"{command} jobs {{}} {plain(job_id_of(job))}"
    if job.get("status") in CAN_GO_ON:
        return f"`{named.format('resume')}` has it go on."
    shown = "shows the code" if has_ended(job) else "follows it"
    return f"`{named.format('watch')}` {shown}."


def last_event_of(job: Job) -> dict[str, Any]:
    """How a job that has ended would have told that in its stream."""
    result, error = job.get("result"), job.get("error")
    more = {"result": result} if isinstance(result, Mapping) else {}
    if isinstance(error, Mapping):
        return {"type": "error", "error": error.get("detail"), "code": error.get("code"), **more}
    return {"type": "complete", "verdict": job.get("verdict"), **more}


def moment(text: object) -> str:
    """An ISO time of a service, as the clock on the wall shows it."""
    if text is None:
        return ""
    try:
        return datetime.fromisoformat(str(text)).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError):
        return plain(text)


def _telling_width(ids: Sequence[str]) -> int:
    longest = max(map(len, ids), default=0)
    return next((w for w in range(SHORTEST_ID, longest) if len({id[:w] for id in ids}) == len(set(ids))), longest)


def _shortened(text: str) -> str:
    return text if len(text) <= WIDEST_REQUEST else f"{text[: WIDEST_REQUEST - 1]}…"
