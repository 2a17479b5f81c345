"""Which models a job will use, found out before anything is started.

--model URL or LLAMACPP_* set ──> those servers; none answers: exit 4
--model PATH or KITTY_MODEL   ──> the embedded engine with it
something on 8083 or 8082     ──> those servers
nothing                       ──> the embedded engine with the model advised for this machine, pulled where absent
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kitty_cli.command_name import command_name
from kitty_cli.errors import NoModel, NotConfigured
from kitty_models.catalogue import SERVER_ALIASES, ModelSpec, find
from kitty_models.choice import ModelChoice, resolve
from kitty_models.discover import any_explicit, distinct_servers
from kitty_models.errors import ModelNotFound, PullFailed
from kitty_models.store import is_intact, list_models, model_dir

BASES = tuple(f"LLAMACPP_{role}_{word}" for role in ("CODER", "F16", "Q4") for word in ("BASE", "HOST"))
Say = Callable[[str], None]


@dataclass(frozen=True)
class ModelPlan:
    """What the service has to be started with, and what the request has to name."""

    kind: str
    """`servers`, `embedded`, or `brain`: it knows them."""
    env: Mapping[str, str] = field(repr=False)
    """The environment of the service, without the embedded model that was only advised."""
    field: str | None = None
    """The request's `model`."""
    start_with: str = ""
    """KITTY_MODEL for a service that is started now."""
    advised: bool = False
    """Nobody named a model: `start_with` is what fits this machine."""
    to_pull: ModelSpec | None = None


def make_plan(model: str | None, env: Mapping[str, str]) -> ModelPlan:
    """Looks at the environment and asks the servers it names. Pulls and starts nothing.

    Raises:
        NoModel: servers are named and none of them answers.
        ModelNotFound, BadSetting: `model` or a variable cannot be understood.
    """
    if model is None or model in SERVER_ALIASES:
        return _plan_for_alias(model, None, env)
    try:
        choice = resolve(model, model_dir(env))
    except ModelNotFound:
        # Any word can be the name of a model on a server; without a server it has to be one of ours.
        if "/" in model or model.endswith(".gguf") or not _servers_answer(env):
            raise
        return ModelPlan("servers", env, field=model)
    if choice.kind == "server":
        assert choice.base_url is not None
        return _plan_for_servers(None, _without_bases(env) | dict.fromkeys(BASES[::2], choice.base_url))
    if choice.kind == "alias":
        return _plan_for_alias(model, choice, env)
    path = str(choice.path)
    to_pull = _absent(choice.spec, choice.path)
    return ModelPlan("embedded", _without_bases(env) | {"KITTY_MODEL": path}, start_with=path, to_pull=to_pull)


def pull_what_is_missing(plan: ModelPlan, say: Say, quiet: bool) -> ModelPlan:
    """Brings the embedded model here. An advised one that cannot be had gives way to one that is here.

    Raises:
        NotConfigured: the engine cannot run here. NoModel: the model is not here and cannot be pulled.
    """
    from kitty_models.progress import SilentProgress, progress_for
    from kitty_models.pull import pull
    from kitty_models.serve import check_engine

    if plan.kind == "embedded" and (problems := check_engine()):
        raise NotConfigured(" ".join(map(str, problems)))
    if plan.to_pull is None:
        return plan
    size = f" ({plan.to_pull.size_bytes / 1e6:,.0f} MB)" if plan.to_pull.size_bytes else ""
    say(f"The model {plan.to_pull.alias} is not here yet; pulling it once{size}.")
    try:
        pull(plan.to_pull, model_dir(plan.env), progress=SilentProgress() if quiet else progress_for())
    except PullFailed as error:
        installed = [model.alias for model in list_models(model_dir(plan.env)) if model.alias]
        if not plan.advised or not installed:
            where = "where there is a network" if plan.to_pull.size_bytes else "again"
            raise NoModel(f"{error}\nRun `{command_name()} models pull {plan.to_pull.alias}` {where}.") from error
        say(f"{plan.to_pull.alias} cannot be had now; using {installed[0]}, which is here.")
        return ModelPlan("embedded", plan.env, plan.field, installed[0], advised=True)
    return plan


def advised_alias() -> str:
    """The embedded model for this machine."""
    from kitty_models.machine import Machine, choose

    return choose(Machine.inspect(watch_sec=0)).alias


def _plan_for_alias(model: str | None, choice: ModelChoice | None, env: Mapping[str, str]) -> ModelPlan:
    if any_explicit(env):
        return _plan_for_servers(model, env)
    wanted = env.get("KITTY_MODEL", "").strip()
    if not wanted and _servers_answer(env):
        return ModelPlan("servers", env, field=model)
    if choice is None and wanted:
        choice = resolve(wanted, model_dir(env))
    if choice is None:
        spec = find(advised_alias())
        path = model_dir(env) / spec.file_name
        return ModelPlan("embedded", env, model, spec.alias, advised=True, to_pull=_absent(spec, path))
    start_with = choice.name if choice.kind == "alias" else str(choice.path)
    return ModelPlan("embedded", env, model, start_with, to_pull=_absent(choice.spec, choice.path))


def _plan_for_servers(model: str | None, env: Mapping[str, str]) -> ModelPlan:
    from kitty_cli.reaching import ask_servers

    servers = {server.base_url: server.api_key for server in distinct_servers(env) if server.explicit}
    answers = ask_servers(servers)
    if not any(reach.answers for reach in answers.values()):
        tried = "".join(f"\n  {url}: {reach.detail or reach.state}" for url, reach in answers.items())
        raise NoModel(
            f"No model server answers. Tried:{tried}\n"
            "Start llama-server there, or unset the LLAMACPP_* variables (and --model) to use the embedded model."
        )
    return ModelPlan("servers", env, field=model)


def _servers_answer(env: Mapping[str, str]) -> bool:
    from kitty_cli.reaching import ask_servers

    servers = {server.base_url: server.api_key for server in distinct_servers(env)}
    return any(reach.answers for reach in ask_servers(servers).values())


def _without_bases(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name not in BASES and name != "KITTY_MODEL"}


def _absent(spec: ModelSpec | None, path: Path | None) -> ModelSpec | None:
    """`spec` when its file is not here, else None."""
    return spec if spec is not None and path is not None and not is_intact(spec, path) else None
