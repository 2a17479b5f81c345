"""Where this job goes: the address that was named, a service that runs already, or one that is started now."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from kitty_cli.client import Service, ask_health, healthz
from kitty_cli.command_name import command_name
from kitty_cli.detached import with_absolute_paths
from kitty_cli.errors import NotConfigured, ServiceIsGone, UsageProblem
from kitty_cli.fingerprint import fingerprint
from kitty_cli.model_plan import ModelPlan, make_plan, pull_what_is_missing
from kitty_cli.resident import ensure_resident, environment_of, living_residents, port_wanted
from kitty_cli.stack_record import gateway_of, read_stack
from kitty_cli.state import Wanted, log_file
from kitty_core.state import state_dir

Say = Callable[[str], None]
T = TypeVar("T")
DATABASE, JOBS_FILE = "DATABASE_URL", "jobs.sqlite3"
"""Where a coder-agent keeps its jobs: in a file of the state directory, where the variable names no database."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
HOST_AND_PORT = re.compile(r"[\w.-]+:\d{1,5}")
"""An address without its scheme; `qwen2.5:7b` is a name."""


@dataclass(frozen=True)
class Destination:
    service: Service
    model: str | None
    """What the request's `model` has to be."""
    explicit: bool
    """The person named the address: nothing is started in its place."""


def named_service(api: str | None, env: Mapping[str, str]) -> Service | None:
    """The service of `--api`, KITTY_API_BASE or CODER_AGENT_BASE; None when none is set."""
    gateway = (api or env.get("KITTY_API_BASE", "")).strip().rstrip("/")
    if gateway:
        return Service(gateway, env.get("KITTY_API_KEY") or None)
    direct = env.get("CODER_AGENT_BASE", "").strip().rstrip("/")
    return Service(direct, _token(env, direct)) if direct else None


def running_service(env: Mapping[str, str]) -> Service | None:
    """The gateway of the stack that `up` started, or a coder-agent on the usual port that `code` did not start."""
    if (gateway := gateway_of(read_stack())) is not None and healthz(gateway) is not None:
        return Service(gateway, env.get("KITTY_API_KEY") or None)
    base_url = f"http://127.0.0.1:{port_wanted(env)}"
    if any(resident.base_url == base_url for resident in living_residents()):
        return None
    return Service(base_url, _token(env, base_url)) if ask_health(base_url) else None


def locate(api: str | None, model: str | None, env: Mapping[str, str], say: Say, quiet: bool) -> Destination:
    """Finds the service, or starts it.

    Raises:
        UsageProblem, NotConfigured, NoModel: as `model_plan` and `resident` say.
    """
    named = named_service(api, env)
    if named is not None:
        if model is not None and _is_place(model):
            raise UsageProblem(
                f"--model {model}: {named.base_url} chooses its own servers and files. Name an alias, or unset "
                "--api, KITTY_API_BASE and CODER_AGENT_BASE."
            )
        return Destination(named, model, explicit=True)
    found = None if model is not None and _is_place(model) else running_service(env)
    if found is not None:
        return Destination(found, model, explicit=False)
    plan = _plan_by_brain(model, env) if _asks_the_brain(env) else make_plan(model, env)
    return _own(plan, env, say, quiet)


def locate_jobs(api: str | None, env: Mapping[str, str], say: Say, quiet: bool) -> Destination | None:
    """Finds a service that knows the jobs, or starts it; None where no job can ever have been handed in.

    Whatever its model and settings, one that `code` left running will do: the jobs are in their database.

    Raises:
        NotConfigured, NoModel: as `locate`.
    """
    named = named_service(api, env)
    if named is not None:
        return Destination(named, None, explicit=True)
    if (found := running_service(env)) is not None:
        return Destination(found, None, explicit=False)
    for resident in reversed(living_residents()):
        is_same = environment_of(resident).get(DATABASE, "") == env.get(DATABASE, "")
        if is_same and ask_health(resident.base_url):
            return Destination(Service(resident.base_url, log=log_file()), None, explicit=False)
    if not env.get(DATABASE) and not (state_dir() / JOBS_FILE).exists():
        return None
    return locate(None, None, env, say, quiet)


def served(find: Callable[[], Destination], use: Callable[[Destination], T]) -> T:
    """What `use` makes of the service that is found; of another one where that has gone meanwhile.

    Raises:
        NotConfigured: nothing answers where a person said that it is.
    """
    place = find()
    try:
        return use(place)
    except ServiceIsGone as error:
        if place.explicit:
            raise NotConfigured(
                f"Nothing answers at {place.service.base_url}. Start it, or unset --api, KITTY_API_BASE and "
                f"CODER_AGENT_BASE: then {command_name()} starts what it needs."
            ) from error
        return use(find())


def _asks_the_brain(env: Mapping[str, str]) -> bool:
    """Whether the model is the brain's to choose: then none is looked for here, or pulled."""
    return env.get("CODER_LLM_ROUTE", "").strip() == "brain"


def _plan_by_brain(model: str | None, env: Mapping[str, str]) -> ModelPlan:
    if model is not None and _is_place(model):
        raise UsageProblem(
            f"--model {model}: with CODER_LLM_ROUTE=brain the brain chooses the model server. Name an alias, or set "
            "CODER_LLM_ROUTE=direct."
        )
    return ModelPlan("brain", env, field=model)


def _own(plan: ModelPlan, env: Mapping[str, str], say: Say, quiet: bool) -> Destination:
    # Before anything is compared: two folders mean two things by one relative path.
    plan = replace(plan, env=with_absolute_paths(plan.env, Path.cwd()))
    mark = fingerprint(plan.env, plan.kind)
    running = next((resident for resident in living_residents() if resident.wanted.fingerprint == mark), None)
    if plan.advised and plan.field is None and running is not None:
        if running.wanted.advised:
            # What was advised when it started still holds: its own memory would tip the scales now.
            plan = replace(plan, start_with=running.wanted.model, to_pull=None)
        else:
            plan = replace(plan, field=plan.start_with)
    plan = pull_what_is_missing(plan, say, quiet)
    if running is None:
        say(f"Starting the coder-agent; it stays for the next command (`{command_name()} stop` ends it).")
    wanted = Wanted(mark, plan.kind, plan.start_with, plan.advised)
    resident = ensure_resident(plan.env, wanted)
    return Destination(Service(resident.base_url, log=log_file()), plan.field, explicit=False)


def _token(env: Mapping[str, str], base_url: str) -> str | None:
    """What a coder-agent wants. One on the open loopback wants none: whoever sends it counts as a gateway there."""
    token = env.get("KITTY_SERVICE_TOKEN") or env.get("KITTY_API_KEY") or None
    if token and urlsplit(base_url).hostname in LOOPBACK:
        health = ask_health(base_url) or {}
        return None if health.get("access") == "open" else token
    return token


def _is_place(model: str) -> bool:
    """Whether `--model` is a path or an address, not a name."""
    return "/" in model or "\\" in model or model.lower().endswith(".gguf") or bool(HOST_AND_PORT.fullmatch(model))
