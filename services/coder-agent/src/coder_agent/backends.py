"""Where the models are: behind the brain, where the settings say so; else servers the environment names, servers on the
default ports, or the embedded one.

The embedded model is used only when no `LLAMACPP_*` address is set and nothing answers on the default ports. Its server
is a child of this service and ends with it; a server that died is started again by the next call.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import structlog

from coder_agent.brain_route import BrainRoute
from coder_agent.errors import UnknownModel
from coder_agent.means import Writer
from coder_agent.settings import Settings
from kitty_core.service_token import service_token
from kitty_llm import Endpoint, ModelRoles, ModelUnavailable, Role
from kitty_models.catalogue import CATALOGUE
from kitty_models.choice import resolve
from kitty_models.discover import Endpoint as Server
from kitty_models.discover import any_explicit, backends_from_env, base_url
from kitty_models.errors import ModelsError
from kitty_models.machine import Machine, choose
from kitty_models.reach import embedded_wanted
from kitty_models.serve import EmbeddedServer
from kitty_models.store import list_models, model_dir, read_record

log = structlog.get_logger()
ALIASES: Mapping[Role, str] = {"q4": "kitty-q4", "f16": "kitty-f16", "coder": "kitty-coder"}
ROLE_ALIASES = frozenset({"kitty-q4", "kitty-f16", "kitty-primary"})
NOBODY_HINT = (
    "Start a llama.cpp server at one of these addresses, or unset the LLAMACPP_* variables to use the embedded model."
)


class Models(Protocol):
    """What a service needs of a model client: `kitty_llm.ModelRoles` is one, `brain_route.BrainRoute` another."""

    def start_job(self, model: str | None = None) -> Writer:
        """The models for one job."""
        ...

    async def health(self) -> Mapping[Role, str]:
        """State by role; soon, and nothing is generated."""
        ...

    async def slots(self) -> int:
        """How many calls can be worked on at once, 1 at least; within a second, and never raises."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


def backends_of(settings: Settings, env: Mapping[str, str]) -> "Backends":
    """The models that `settings` ask for. `env`: where `LLAMACPP_*` are read.

    Raises:
        ConfigurationError, BadSetting: the service token or BRAIN_BASE is of no use.
    """
    brain = None
    if settings.coder_llm_route == "brain":
        brain = BrainRoute(base_url(settings.brain_base, "BRAIN_BASE"), service_token(settings.kitty_service_token))
    return Backends(env, wanted=settings.kitty_model, fallback_n_ctx=settings.llamacpp_n_ctx, brain=brain)


class Backends:
    """The models of one service. `roles` is ready after `start()`."""

    def __init__(
        self, env: Mapping[str, str], *, wanted: str = "", fallback_n_ctx: int = 4096, brain: BrainRoute | None = None
    ) -> None:
        """`wanted`: alias or GGUF path of the embedded model, empty to choose one for this machine.

        `brain`: all calls go there; no server is looked for, and none is started.
        """
        self._env = env
        self._wanted = wanted
        self._fallback_n_ctx = fallback_n_ctx
        self._roles: Models | None = brain
        self.embedded: EmbeddedModels | None = None

    @property
    def roles(self) -> Models:
        """The model client."""
        assert self._roles is not None, "start() comes first"
        return self._roles

    async def start(self) -> None:
        """Find out what answers; begin to load the embedded model when it is wanted, without waiting for it."""
        if self._roles is not None:
            return
        if (self._wanted and not any_explicit(self._env)) or await embedded_wanted(self._env):
            self.embedded = EmbeddedModels(model_dir(self._env), self._wanted)
            self.embedded.begin()
            self._roles = ModelRoles(self.embedded.endpoints, hint="", fallback_n_ctx=self._fallback_n_ctx)
            return
        found = backends_from_env(self._env)
        endpoints = {role: [_endpoint(role, server) for server in servers] for role, servers in found.items()}
        self._roles = ModelRoles(endpoints, hint=NOBODY_HINT, fallback_n_ctx=self._fallback_n_ctx)

    async def stop(self) -> None:
        """Close connections and end the embedded server."""
        if self._roles is not None:
            await self._roles.aclose()
        if self.embedded is not None:
            await self.embedded.stop()

    @asynccontextmanager
    async def job(self, model: str | None) -> AsyncIterator[None]:
        """Holds the embedded model `model` in memory while a job uses it.

        Raises:
            UnknownModel: the embedded engine has no such alias.
        """
        if self.embedded is None:
            yield
            return
        async with self.embedded.held(model):
            yield

    async def health(self) -> dict[str, str]:
        """State per role: ok, loading, down, not_started …; within a second, nothing is generated."""
        if self.embedded is not None:
            state = self.embedded.state()
            return dict.fromkeys(ALIASES, state)
        return {role: str(state) for role, state in (await self.roles.health()).items()}

    async def slots(self) -> int:
        """How many calls the models can work on at once: all servers of the preferred role that are well together.

        1 at least. Within a second, and what is known for some seconds is not asked again; never raises.
        """
        return await self.roles.slots() if self.embedded is None else self.embedded.slots


class EmbeddedModels:
    """Embedded servers by alias. One that no job holds makes room when another is started."""

    def __init__(self, directory: Path, wanted: str) -> None:
        self._directory = directory
        self._default = wanted or _advised(directory)
        self._servers: dict[str, EmbeddedServer] = {}
        self._held: dict[str, int] = {}
        self._lock = asyncio.Lock()
        self._first: asyncio.Task[Sequence[Endpoint]] | None = None

    @property
    def default(self) -> str:
        """Alias or path of the model used when a request names none."""
        return self._default

    def begin(self) -> None:
        """Load the default model in the background; a failure is told by the first job."""
        self._first = asyncio.create_task(self.endpoints("coder", None))
        self._first.add_done_callback(_note_failure)

    @asynccontextmanager
    async def held(self, model: str | None) -> AsyncIterator[None]:
        """Keeps the server of `model` from being stopped for another."""
        name = self._name(model)
        self._held[name] = self._held.get(name, 0) + 1
        try:
            yield
        finally:
            self._held[name] -= 1

    async def endpoints(self, role: Role, model: str | None) -> Sequence[Endpoint]:
        """The server for `model`, started if need be.

        Raises:
            ModelUnavailable: its file is not here, or the engine does not start; says what to do.
        """
        name = self._name(model)
        async with self._lock:
            server = self._servers.get(name)
            if server is None or not server.alive:
                server = await self._start(name)
        path = self._path(name)
        record = read_record(path)
        return [Endpoint(server.base_url, server.api_key, server.alias, model_sha256=record.sha256 if record else None)]

    @property
    def slots(self) -> int:
        """How many calls the default model's server works on at once."""
        server = self._servers.get(self._default)
        return server.n_parallel if server is not None else 1

    def state(self) -> str:
        """ok, loading, or not_installed: of the default model."""
        server = self._servers.get(self._default)
        if server is not None and server.alive:
            return "ok"
        if self._first is not None and not self._first.done():
            return "loading"
        try:
            return "stopped" if self._path(self._default).is_file() else "not_installed"
        except ModelsError:
            return "not_installed"

    async def stop(self) -> None:
        """End all servers."""
        if self._first is not None:
            self._first.cancel()
        for server in self._servers.values():
            await server.stop()
        self._servers.clear()

    def _name(self, model: str | None) -> str:
        if model is None or model in ROLE_ALIASES:
            return self._default
        if model != self._default and model not in {spec.alias for spec in CATALOGUE}:
            raise UnknownModel(
                f"The embedded engine has no model {model!r}. `./kitty models list` shows what there is."
            )
        return model

    def _path(self, name: str) -> Path:
        path = resolve(name, self._directory).path
        assert path is not None, "a server address is never an embedded model"
        return path

    async def _start(self, name: str) -> EmbeddedServer:
        for other in [alias for alias in self._servers if alias != name and not self._held.get(alias)]:
            await self._servers.pop(other).stop()
        try:
            path = self._path(name)
            if not path.is_file():
                raise ModelUnavailable(hint=f"The model is not here yet: run ./kitty models pull {name}")
            advice = choose(Machine.inspect())
            alias = name if "/" not in name else path.stem
            server = EmbeddedServer(path, alias, threads=advice.threads, n_ctx=advice.n_ctx)
            await server.start()
        except ModelsError as error:
            raise ModelUnavailable(hint=str(error)) from error
        self._servers[name] = server
        log.info("embedded_model_ready", model=name, threads=advice.threads, n_ctx=advice.n_ctx)
        return server


def _endpoint(role: Role, server: Server) -> Endpoint:
    variable = f"LLAMACPP_{role.upper()}_API_KEY or LLAMACPP_API_KEY"
    return Endpoint(server.base_url, server.api_key, alias=ALIASES[role], key_variable=variable)


def _advised(directory: Path) -> str:
    """The best model for this machine; the one that is here when the best is not and another is."""
    best = choose(Machine.inspect()).alias
    here = {model.alias for model in list_models(directory) if model.alias}
    return best if best in here or not here else choose(Machine.inspect(), allowed=here).alias


def _note_failure(task: "asyncio.Task[Sequence[Endpoint]]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("embedded_model_failed", error=str(error))
