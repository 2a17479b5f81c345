"""`kitty-cli up` and `down`: the whole stack on this machine, supervised.

up:   one that runs? ──yes──> show it
        └ no ─> end what a killed one left → models → ports → start the supervisor → wait until all answer
down: SIGTERM to the supervisor, wait; what it has left behind is ended one by one
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock
import psutil  # type: ignore[import-untyped]  # it ships no types

from kitty_cli.command_name import command_name
from kitty_cli.errors import NotConfigured
from kitty_cli.exit_codes import ExitCode
from kitty_cli.model_plan import make_plan, pull_what_is_missing
from kitty_cli.progress import display_for
from kitty_cli.reaching import ask_servers
from kitty_cli.render import write_json
from kitty_cli.resident import stop_idle_residents
from kitty_cli.stack_door import door_lines
from kitty_cli.stack_plan import (
    StackPlan,
    check_ports,
    plan_programs,
    with_absolute_paths,
    with_engine,
    with_workspaces,
)
from kitty_cli.stack_record import ProgramRecord, StackRecord, log_of, read_stack, runs, stack_file
from kitty_cli.tail import fresh, tail_of
from kitty_core.service_token import service_token
from kitty_core.settings import environment
from kitty_core.state import state_dir
from kitty_models.choice import resolve
from kitty_models.store import model_dir

READY_WITHIN_SEC = 180.0
DOWN_WITHIN_SEC = 60.0
END_WITHIN_SEC = 10.0
POLL_SEC = 0.1
SUPERVISOR = "supervisor"


def up(model: str | None, as_json: bool, quiet: bool, workspaces: Sequence[Path] = ()) -> ExitCode:
    """Starts everything and returns when all of it answers. The broker's commands may work in `workspaces`.

    Raises:
        UsageProblem: a workspace is none.
        NotConfigured: a port is taken, a setting is wrong, or a program does not come up; what ran is stopped again.
        NoModel: no model can be had.
    """
    with _locked():
        record = read_stack()
        if record is not None and record.is_supervised:
            again = f" `{command_name()} down` first: --workspace holds from the start on." if workspaces else ""
            return _show(record, as_json, f"It runs already.{again}")
        if record is not None:
            _end_programs(record)
        env = with_workspaces(with_absolute_paths(environment(), Path.cwd()), workspaces, Path.cwd())
        plan = _plan(model, env, quiet)
        check_ports(plan.programs)
        with display_for(quiet) as display:
            display.say(f"Starting {', '.join(program.name for program in plan.programs)}.")
            for line in door_lines(plan.bind):
                display.say(line)
            record = _start(plan)
        return _show(record, as_json, f"`{command_name()} down` stops it.")


def down() -> ExitCode:
    """Stops everything that `up` started."""
    with _locked():
        record = read_stack()
        if record is None or not (record.is_supervised or any(runs(p.pid, p.created) for p in record.programs)):
            print(f"Nothing that {command_name()} up started is running.")
            stack_file().unlink(missing_ok=True)
            return ExitCode.VERIFIED
        _end(record.pid, record.created, DOWN_WITHIN_SEC)
        # What runs now may be newer than what was read.
        _end_programs(read_stack() or record)
        stack_file().unlink(missing_ok=True)
    print(f"Stopped {', '.join(program.name for program in record.programs)}.")
    return ExitCode.VERIFIED


def describe_stack() -> dict[str, Any] | None:
    """What `up` left running, for `status`; None where nothing is."""
    from kitty_cli.client import healthz

    record = read_stack()
    if record is None:
        return None
    programs = [
        {
            "name": program.name,
            "base_url": program.base_url,
            "pid": program.pid,
            "state": program.state if runs(program.pid, program.created) or "starts again" in program.state else "gone",
            "restarts": program.restarts,
            "log": program.log,
            "health": _model_health(program.base_url) if program.name == "model" else healthz(program.base_url),
        }
        for program in record.programs
    ]
    told = {"supervised": record.is_supervised, "pid": record.pid, "workspace": record.workspace, "bind": record.bind}
    return {**told, "programs": programs}


def _model_health(base_url: str) -> dict[str, Any] | None:
    """A model server has no `/healthz`, and its key is on no record: that it wants one is its answer."""
    reach = ask_servers({base_url: None})[base_url]
    return {"status": "ok" if reach.state == "unauthorized" else reach.state} if reach.answers else None


def stack_lines(stack: Mapping[str, Any]) -> Iterator[str]:
    """The same in lines for people."""
    if not stack["supervised"]:
        yield f"The stack has lost its supervisor; `{command_name()} down`, then `{command_name()} up`."
    for program in stack["programs"]:
        health = (program["health"] or {}).get("status") if program["log"] else None
        again = f", started again {program['restarts']} times" if program["restarts"] else ""
        words = program["state"] + (f", {health}" if health else "") + again
        yield f"{program['name']:<12} {program['base_url']:<24} {words} (pid {program['pid']})"
    if logs := [program["log"] for program in stack["programs"] if program["log"]]:
        yield f"Logs: {logs[0].rpartition('/')[0]}"
    yield from _workspace_lines(stack)
    yield from door_lines(stack["bind"])


def _workspace_lines(stack: Mapping[str, Any]) -> Iterator[str]:
    health = next((program["health"] for program in stack["programs"] if program["name"] == "broker"), None) or {}
    missing, there = health.get("commands_unavailable"), health.get("commands_available")
    count = f": {missing} of {missing + there} commands are unavailable" if missing and there is not None else ""
    if stack["workspace"]:
        yield f"Workspace of the broker: {stack['workspace']}{count and f'{count}; its log says why'}"
    else:
        yield f"The broker has no workspace{count}. `{command_name()} up --workspace DIR` names one."


def _plan(model: str | None, env: Mapping[str, str], quiet: bool) -> StackPlan:
    stop_idle_residents()  # they hold memory, and the port of the coder-agent
    with display_for(quiet) as display:
        models = pull_what_is_missing(make_plan(model, env), display.say, quiet)
    programs = plan_programs(
        {**models.env, "KITTY_COMMAND": command_name()}, service_token(env.get("KITTY_SERVICE_TOKEN"))
    )
    if models.kind == "servers":
        return StackPlan(programs)
    choice = resolve(models.start_with, model_dir(env))
    assert choice.path is not None, "an embedded model is a file"
    return with_engine(programs, str(choice.path), choice.name)


def _start(plan: StackPlan) -> StackRecord:
    log = fresh(log_of(SUPERVISOR))
    before = log.stat().st_size
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "kitty_cli.supervising"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=state_dir(),
        )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it ended at once; _wait tells why
        process.stdin.write(plan.to_json().encode())
        process.stdin.close()
    record = _wait_until_ready(process, before)
    process.returncode = 0  # it is not ours to wait for: without this, Popen warns that it still runs
    return record


def _wait_until_ready(process: "subprocess.Popen[bytes]", log_began: int) -> StackRecord:
    deadline = time.monotonic() + READY_WITHIN_SEC
    while True:
        record = read_stack()
        if record is not None and record.pid == process.pid and record.is_ready:
            return record
        if process.poll() is not None:
            raise NotConfigured(
                _why_not(record, f"The stack ended at its start.{tail_of(log_of(SUPERVISOR), log_began)}")
            )
        if time.monotonic() > deadline:
            process.terminate()
            process.wait(DOWN_WITHIN_SEC)
            raise NotConfigured(_why_not(record, f"The stack was not ready within {READY_WITHIN_SEC:g} s."))
        time.sleep(POLL_SEC)


def _why_not(record: StackRecord | None, otherwise: str) -> str:
    programs = record.programs if record else ()
    failed = next((program for program in programs if program.state == "failed"), None)
    slow = failed or next((program for program in programs if program.state not in ("running", "stopped")), None)
    if slow is None or slow.log is None:
        return otherwise
    what = "ended at its start" if failed else "did not answer"
    return f"{slow.name} {what}.{tail_of(log_of(slow.name), 0)}"


def _show(record: StackRecord, as_json: bool, last: str) -> ExitCode:
    stack = describe_stack()
    assert stack is not None, "it was just read"
    if as_json:
        write_json(stack)
        return ExitCode.VERIFIED
    print("\n".join(stack_lines(stack)))
    print(f"{last} Ask with `{command_name()} code`; documents of the API: {record.gateway}/docs")
    return ExitCode.VERIFIED


def _end_programs(record: StackRecord) -> None:
    for program in reversed(record.programs):
        _end_program(program)


def _end_program(program: ProgramRecord) -> None:
    _end(program.pid, program.created, END_WITHIN_SEC)


def _end(pid: int, created: float, within_sec: float) -> None:
    if not runs(pid, created):
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        process.terminate()
        try:
            process.wait(within_sec)
        except psutil.TimeoutExpired:
            process.kill()


def _locked() -> contextlib.AbstractContextManager[object]:
    lock = filelock.FileLock(state_dir() / "stack.lock", timeout=2 * READY_WITHIN_SEC, poll_interval=POLL_SEC)
    try:
        return lock.acquire()
    except filelock.Timeout:
        raise NotConfigured(f"Another {command_name()} has held {lock.lock_file} for too long. Is it stuck?") from None
