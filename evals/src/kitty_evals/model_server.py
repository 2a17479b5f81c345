"""The model server both arms use: a running one that was named, or the embedded one, started here and stopped here.

--model, else the first of LLAMACPP_* for the coder that answers, else KITTY_MODEL, else the model advised for this
machine (of those here, where any is)
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from kitty_evals.errors import NoModel, NotConfigured, UsageProblem
from kitty_models.choice import ModelChoice, resolve
from kitty_models.discover import any_explicit, backends_from_env
from kitty_models.errors import BadSetting, ModelNotFound, ModelsError, PullFailed
from kitty_models.machine import Machine, choose
from kitty_models.progress import progress_for
from kitty_models.pull import pull
from kitty_models.reach import open_client, reachable
from kitty_models.serve import ENGINE_COMMAND, EmbeddedServer
from kitty_models.store import is_intact, list_models, model_dir, read_record

ASK_SEC = 5.0


@dataclass(frozen=True)
class Model:
    """The model that is evaluated: a running server (`base_url`), or a file to be served (`path`)."""

    name: str
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    path: Path | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class ModelServer:
    """A server that answers."""

    base_url: str
    api_key: str | None = field(repr=False)
    alias: str


async def find_model(wanted: str | None, env: Mapping[str, str]) -> Model:
    """What is to be evaluated; a catalogue model that is not here is pulled.

    Raises:
        UsageProblem: `wanted` is not understood. NoModel: it cannot be had, or its server does not answer.
    """
    if wanted is None and any_explicit(env):
        return await _running([server.base_url for server in backends_from_env(env)["coder"]], env)
    try:
        choice = resolve(wanted or env.get("KITTY_MODEL", "").strip() or _advised(env), model_dir(env))
    except (ModelNotFound, BadSetting) as error:
        raise UsageProblem(str(error)) from error
    if choice.base_url is not None:
        return await _running([choice.base_url], env)
    return _installed(choice, env)


@asynccontextmanager
async def serving(model: Model, engine: Sequence[str] = ENGINE_COMMAND) -> AsyncIterator[ModelServer]:
    """The server of `model`; an embedded one ends with the block.

    Raises:
        NotConfigured: the engine cannot run here.
    """
    if model.base_url is not None:
        yield ModelServer(model.base_url, model.api_key, model.name)
        return
    assert model.path is not None, "a model is a server or a file"
    advice = choose(Machine.inspect())
    server = EmbeddedServer(model.path, model.name, threads=advice.threads, n_ctx=advice.n_ctx, command=engine)
    try:
        await server.start()
    except ModelsError as error:
        raise NotConfigured(str(error)) from error
    try:
        yield ModelServer(server.base_url, server.api_key, server.alias)
    finally:
        await server.stop()


def _advised(env: Mapping[str, str]) -> str:
    machine = Machine.inspect(watch_sec=0)
    best, here = choose(machine).alias, {model.alias for model in list_models(model_dir(env)) if model.alias}
    return best if best in here or not here else choose(machine, allowed=here).alias


def _installed(choice: ModelChoice, env: Mapping[str, str]) -> Model:
    assert choice.path is not None, "only a server has no file"
    if choice.spec is not None and not is_intact(choice.spec, choice.path):
        try:
            pull(choice.spec, model_dir(env), progress=progress_for())
        except PullFailed as error:
            raise NoModel(str(error)) from error
    record = read_record(choice.path)
    return Model(choice.name, path=choice.path, sha256=record.sha256 if record else None)


async def _running(base_urls: Sequence[str], env: Mapping[str, str]) -> Model:
    """The first that answers."""
    key = env.get("LLAMACPP_CODER_API_KEY") or env.get("LLAMACPP_API_KEY") or None
    answers = await asyncio.gather(*(reachable(base_url, key, ASK_SEC) for base_url in base_urls))
    found = dict(zip(base_urls, answers, strict=True))
    base_url = next((url for url, reach in found.items() if reach.answers), None)
    if base_url is None:
        raise NoModel(f"No model server answers: {'; '.join(reach.detail for reach in answers)}.")
    if found[base_url].state == "unauthorized":
        raise NotConfigured(f"{base_url} wants an API key: set LLAMACPP_API_KEY.")
    return Model(await _name_of(base_url, key), base_url, key)


async def _name_of(base_url: str, key: str | None) -> str:
    """As `/v1/models` names it, a file by its stem; the address where it names none."""
    try:
        async with open_client(base_url, key, ASK_SEC) as http:
            name = str((await http.get("/v1/models")).json()["data"][0]["id"])
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return urlsplit(base_url).netloc
    return Path(name).stem if name.endswith(".gguf") else name
