"""`kitty-cli up` and `down`: the whole stack on this machine, supervised.

up:   one that runs? ──yes──> show it
        └ no ─> end what a killed one left → models → ports → start the supervisor → wait until all answer
down: SIGTERM to the supervisor, wait; what it has left behind is ended one by one
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock

from kitty_cli.command_name import command_name
from kitty_cli.detached import end, let_go, start_detached
from kitty_cli.errors import NotConfigured, UsageProblem
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
from kitty_cli.stack_record import FAILED, ProgramRecord, StackRecord, log_of, read_stack, stack_file
from kitty_cli.tail import fresh, size_of, tail_of
from kitty_cli.visible import visible
from kitty_core.service_token import LEAST_CONFIGURED, is_short, service_token
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
        UsageProblem: a workspace is none, or the stack that runs has others.
        NotConfigured: a port is taken, a setting is wrong, or a program does not come up.
        NoModel: no model can be had.

    Whatever ends it early, Ctrl-C too, what it has started is stopped again.
    """
    with _locked():
        record = read_stack()
        if record is not None and record.is_supervised:
            other = "" if model is None else f" --model {model} changes nothing: `{command_name()} down` first."
            _check_workspaces(record, workspaces)
            return _show(record, as_json, f"It runs already.{other}")
        if record is not None:
            _end_programs(record)
        env = with_workspaces(with_absolute_paths(environment(), Path.cwd()), workspaces, Path.cwd())
        plan = _plan(model, env, quiet)
        check_ports(plan.programs)
        with display_for(quiet) as display:
            display.say(f"Starting {', '.join(program.name for program in plan.programs)}.")
            for line in [*door_lines(plan.bind), *_token_lines(environment())]:
                display.say(line)
            record = _start(plan)
        return _show(record, as_json, f"`{command_name()} down` stops it.")


def _token_lines(env: Mapping[str, str]) -> Iterator[str]:
    token = env.get("KITTY_SERVICE_TOKEN")
    if token and is_short(token):
        yield (
            f"KITTY_SERVICE_TOKEN has fewer than {LEAST_CONFIGURED} characters and can be guessed; without it "
            "the services share one that is made for them."
        )


def _check_workspaces(record: StackRecord, wanted: Sequence[Path]) -> None:
    """Raises: UsageProblem: the stack that runs has other workspaces than these, where there are any."""
    named = with_workspaces({}, wanted, Path.cwd()).get("BROKER_WORKSPACE", "")
    if named and _folders_in(named) != _folders_in(record.workspace):
        has = f"the workspace {record.workspace}" if record.workspace else "no workspace"
        raise UsageProblem(
            f"The stack runs already, with {has}; nothing was changed. A workspace holds from the start on: "
            f"`{command_name()} down` first."
        )


def _folders_in(workspaces: str) -> set[Path]:
    return {Path(folder).resolve() for folder in workspaces.split(os.pathsep) if folder}


def down() -> ExitCode:
    """Stops everything that `up` started."""
    with _locked():
        record = read_stack()
        if record is None or not record.is_left:
            print(f"Nothing that {command_name()} up started is running.")
            stack_file().unlink(missing_ok=True)
            return ExitCode.VERIFIED
        end(record.pid, record.created, DOWN_WITHIN_SEC)
        # What runs now may be newer than what was read.
        _end_programs(read_stack() or record)
        stack_file().unlink(missing_ok=True)
    print(f"Stopped {', '.join(program.name for program in record.programs)}.")
    return ExitCode.VERIFIED


def describe_stack() -> dict[str, Any] | None:
    """What `up` left running, for `status`; None where nothing is."""
    from kitty_cli.client import healthz

    record = read_stack()
    if record is None or not record.is_left:
        return None
    programs = [
        {
            "name": program.name,
            "base_url": program.base_url,
            "pid": program.pid,
            "state": _state_of(program, record.is_supervised),
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


def _state_of(program: ProgramRecord, is_supervised: bool) -> str:
    is_awaited = is_supervised and "starts again" in program.state
    return program.state if program.runs or is_awaited else "gone"


def stack_lines(stack: Mapping[str, Any]) -> Iterator[str]:
    """The same in lines for people."""
    if not stack["supervised"]:
        yield f"The stack has lost its supervisor; `{command_name()} down`, then `{command_name()} up`."
    for program in stack["programs"]:
        again = f", started again {program['restarts']} times" if program["restarts"] else ""
        words = program["state"] + _health_words(program) + again
        yield visible(f"{program['name']:<12} {program['base_url']:<24} {words} (pid {program['pid']})")
    if logs := [program["log"] for program in stack["programs"] if program["log"]]:
        yield f"Logs: {logs[0].rpartition('/')[0]}"
    yield from _workspace_lines(stack)
    yield from door_lines(stack["bind"])


def _workspace_lines(stack: Mapping[str, Any]) -> Iterator[str]:
    health = next((program["health"] for program in stack["programs"] if program["name"] == "broker"), None) or {}
    missing, there = health.get("commands_unavailable"), health.get("commands_available")
    count = f": {missing} of {missing + there} commands are unavailable" if missing and there is not None else ""
    count += f" (`{command_name()} tools` says why)" if count else ""
    if stack["workspace"]:
        yield f"Workspace of the broker: {stack['workspace']}{count}"
    else:
        yield f"The broker has no workspace{count}. `{command_name()} down`, then `up --workspace DIR`, gives it one."


def _health_words(program: Mapping[str, Any]) -> str:
    if program["health"]:
        return f", {program['health'].get('status')}"
    return ", does not answer" if program["log"] and program["state"] == "running" else ""


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
    began = {name: size_of(log_of(name)) for name in (SUPERVISOR, *(program.name for program in plan.programs))}
    process = start_detached("kitty_cli.supervising", log, told=plan.to_json().encode())
    try:
        record = _wait_until_ready(process, plan.size, began)
    except BaseException:
        _call_off(process)
        raise
    let_go(process)
    return record


def _wait_until_ready(process: "subprocess.Popen[bytes]", size: int, began: Mapping[str, int]) -> StackRecord:
    """`began`: how long each log was, so that nothing older is shown."""
    deadline = time.monotonic() + READY_WITHIN_SEC
    while True:
        has_ended = process.poll() is not None
        record = read_stack()
        if record is not None and record.pid != process.pid:
            record = None
        if has_ended:
            said = tail_of(log_of(SUPERVISOR), began[SUPERVISOR])
            raise NotConfigured(_why_not(record, began, f"The stack ended at its start.{said}"))
        if record is not None and record.is_ready and len(record.programs) == size:
            return record
        if time.monotonic() > deadline:
            raise NotConfigured(_why_not(record, began, f"The stack was not ready within {READY_WITHIN_SEC:g} s."))
        time.sleep(POLL_SEC)


def _call_off(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(DOWN_WITHIN_SEC)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    record = read_stack()
    if record is not None and record.pid == process.pid:
        _end_programs(record)
        stack_file().unlink(missing_ok=True)


def _why_not(record: StackRecord | None, began: Mapping[str, int], otherwise: str) -> str:
    programs = record.programs if record else ()
    failed = next((program for program in programs if program.state.startswith(FAILED)), None)
    slow = failed or next((program for program in programs if program.state not in ("running", "stopped")), None)
    if slow is None or slow.log is None:
        return otherwise
    what = f"ended at its start{failed.state.removeprefix(FAILED)}" if failed else "did not answer"
    return f"{slow.name} {what}.{tail_of(log_of(slow.name), began.get(slow.name, 0))}"


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
        end(program.pid, program.created, END_WITHIN_SEC)


def _locked() -> contextlib.AbstractContextManager[object]:
    lock = filelock.FileLock(state_dir() / "stack.lock", poll_interval=POLL_SEC)
    with contextlib.suppress(filelock.Timeout):
        return lock.acquire(timeout=0)
    print(
        f"kitty-cli: another {command_name()} starts or stops the stack; waiting for it.", file=sys.stderr, flush=True
    )
    try:
        return lock.acquire(timeout=2 * READY_WITHIN_SEC)
    except filelock.Timeout:
        raise NotConfigured(f"Another {command_name()} has held {lock.lock_file} for too long. Is it stuck?") from None
