"""What is evaluated, and who solves its tasks.

without --base   model server (embedded or named) ──> raw arm
                              └──> coder-agent of our own ──> tier
with --base      the service that was named ──> tier      --model URL ──> raw arm
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from kitty_evals.errors import NotConfigured, UsageProblem
from kitty_evals.evidence import environment_for_evidence
from kitty_evals.model_server import Model, ModelServer, find_model
from kitty_evals.records import ArmName
from kitty_evals.service import own_service
from kitty_evals.solver import Solver
from kitty_evals.tier import TierSolver, open_client
from kitty_models.choice import resolve
from kitty_models.errors import ModelsError
from kitty_models.store import model_dir

PLAIN_MODEL = re.compile(r"[\w.:-]{1,100}", re.ASCII)
"""What a request may hold as `model`."""


@dataclass(frozen=True)
class Target:
    """What the records call the model, and where it is."""

    name: str
    tier: str
    model: Model | None = None
    """None: the service at `base` has its own, and the raw arm cannot reach it."""
    base: str | None = None
    request_model: str | None = None

    @property
    def sha256(self) -> str | None:
        return self.model.sha256 if self.model else None


async def find_target(model: str | None, base: str | None, tier: str, env: Mapping[str, str], *, raw: bool) -> Target:
    """Finds out without starting anything; a model that is not here is pulled.

    Raises:
        UsageProblem: the options do not fit together. NotConfigured, NoModel: something named does not answer.
    """
    if base is None:
        found = await find_model(model, env)
        asked_for = found.name if found.base_url and PLAIN_MODEL.fullmatch(found.name) else None
        return Target(found.name, tier, found, request_model=asked_for)
    health = await _health(base)
    kind = _kind(model, env)
    if kind == "server":
        found = await find_model(model, env)
        return Target(found.name, tier, found, base)
    if raw:
        raise UsageProblem("With --base, --compare raw needs --model URL: the model server that this service uses.")
    if kind == "place":
        raise UsageProblem(f"--model {model}: the service at {base} has its own files. Name an alias.")
    return Target(model or str(health.get("embedded_model") or "service"), tier, None, base, model)


@asynccontextmanager
async def open_solver(
    arm: ArmName, target: Target, server: ModelServer | None, env: Mapping[str, str], folder: Path
) -> AsyncIterator[Solver]:
    """Who solves tasks for `arm`; what was started for it ends with the block."""
    if arm == "raw":
        from kitty_evals.raw import RawSolver, roles_of  # the model client takes seconds to import

        assert server is not None, "find_target sees to it"
        roles = roles_of(server.base_url, server.api_key, server.alias)
        try:
            yield RawSolver(roles)
        finally:
            await roles.aclose()
        return
    token = await _token(env, target.base)
    async with _service(target, server, env, folder) as base, open_client(base, token) as http:
        yield TierSolver(http, target.tier, target.request_model)


@asynccontextmanager
async def _service(
    target: Target, server: ModelServer | None, env: Mapping[str, str], folder: Path
) -> AsyncIterator[str]:
    if target.base is not None:
        yield target.base
        return
    assert server is not None, "without a base there is a model"
    async with own_service(server, {**env, **environment_for_evidence(folder)}, folder / "coder-agent.log") as base:
        yield base


async def _health(base: str) -> Mapping[str, object]:
    try:
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=5.0) as http:
            health = (await http.get("/healthz")).json()
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise NotConfigured(f"Nothing answers at {base} ({error or type(error).__name__}).") from error
    except ValueError:
        health = None
    return health if isinstance(health, dict) else {}


def _kind(model: str | None, env: Mapping[str, str]) -> str:
    """`server`, `place` (of a file) or `name`: any word may be an alias of the service."""
    if model is None or (PLAIN_MODEL.fullmatch(model) and ":" not in model and not model.endswith(".gguf")):
        return "name"
    try:
        return "server" if resolve(model, model_dir(env)).kind == "server" else "place"
    except ModelsError:
        return "name" if PLAIN_MODEL.fullmatch(model) else "place"


async def _token(env: Mapping[str, str], base: str | None) -> str | None:
    """None for a coder-agent on the open loopback, as our own is: whoever sends the token counts as a gateway there."""
    token = env.get("KITTY_SERVICE_TOKEN") or env.get("KITTY_API_KEY") or None
    if token is None or base is None:
        return None
    return None if (await _health(base)).get("access") == "open" else token
