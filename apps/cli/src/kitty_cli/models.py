"""`kitty-cli models list|pull|serve`."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kitty_cli.errors import NotConfigured, UsageProblem
from kitty_cli.exit_codes import ExitCode
from kitty_cli.render import write_json
from kitty_core.settings import environment
from kitty_models.catalogue import CATALOGUE, ModelSpec
from kitty_models.choice import ModelChoice, resolve
from kitty_models.machine import Machine, choose
from kitty_models.progress import progress_for
from kitty_models.pull import pull
from kitty_models.store import is_intact, list_models, model_dir


def show_models(as_json: bool) -> ExitCode:
    folder, advice = model_dir(environment()), choose(Machine.inspect())
    rows = describe_models(folder, advice.alias)
    if as_json:
        write_json({"model_dir": str(folder), "advice": advice.to_dict(), "models": rows})
        return ExitCode.VERIFIED
    for row in rows:
        mark = "*" if row["advised"] else " "
        size = f"{row['size_bytes'] / 1e6:,.0f} MB" if row["size_bytes"] else ""
        state = f"installed (from {row['source']})" if row["installed"] else "not installed"
        print(f"{mark} {row['alias'] or row['path']:<20} {size:>9}  {state}")
        print(f"    {row['description']}")
    print(f"\n* chosen for this machine: {advice.reason}\nModels are kept in {folder}")
    return ExitCode.VERIFIED


def describe_models(folder: Path, advised: str) -> list[dict[str, Any]]:
    """The catalogue, then other GGUF files in the folder."""
    here = list_models(folder)
    by_alias = {model.alias: model for model in here if model.alias}
    rows: list[dict[str, Any]] = []
    for spec in CATALOGUE:
        model = by_alias.get(spec.alias)
        rows.append(
            {
                "alias": spec.alias,
                "size_bytes": spec.size_bytes,
                "installed": model is not None,
                "source": model.source if model else None,
                "path": str(model.path) if model else None,
                "advised": spec.alias == advised,
                "description": f"{spec.description} ({spec.license})",
            }
        )
    for model in here:
        if model.alias is None:
            about = {"alias": None, "installed": True, "advised": False, "description": "give its path to --model"}
            rows.append(about | {"size_bytes": model.size_bytes, "source": model.source, "path": str(model.path)})
    return rows


def pull_model(name: str | None) -> ExitCode:
    env = environment()
    spec = _to_pull(name, env)
    print(pull(spec, model_dir(env), progress=progress_for()))
    return ExitCode.VERIFIED


def serve_model(name: str | None, port: int) -> ExitCode:
    env = environment()
    choice = resolve(name or _advised_alias(), model_dir(env))
    if choice.path is None:
        raise UsageProblem(f"{name} is a running server already; name an alias or a GGUF file.")
    if choice.spec is not None and not is_intact(choice.spec, choice.path):
        pull(choice.spec, model_dir(env), progress=progress_for())
    key = env.get("LLAMACPP_CODER_API_KEY") or env.get("LLAMACPP_API_KEY") or None
    try:
        asyncio.run(_serve(choice, port, key))
    except KeyboardInterrupt:
        print("Stopped.")
    return ExitCode.VERIFIED


async def _serve(choice: ModelChoice, port: int, key: str | None) -> None:
    """Serves until it is interrupted."""
    from kitty_models.serve import EmbeddedServer

    assert choice.path is not None
    async with EmbeddedServer(choice.path, choice.name, port=port, api_key=key) as server:
        print(f"{choice.name} is served at {server.base_url}/v1 until Ctrl-C. It wants this key:\n")
        print(f"  export LLAMACPP_CODER_BASE={server.base_url}")
        print(f"  export LLAMACPP_CODER_API_KEY={server.api_key}\n")
        print(f"  curl -H 'Authorization: Bearer {server.api_key}' {server.base_url}/v1/models", flush=True)
        while server.alive:  # noqa: ASYNC110 -- the engine is a process; it tells nobody that it ends
            await asyncio.sleep(0.5)
    raise NotConfigured("The engine ended by itself.")


def _to_pull(name: str | None, env: Mapping[str, str]) -> ModelSpec:
    choice = resolve(name or _advised_alias(), model_dir(env))
    if choice.spec is None:
        raise UsageProblem(f"{name} is nothing to pull: name an alias or the URL of a .gguf file.")
    return choice.spec


def _advised_alias() -> str:
    return choose(Machine.inspect(watch_sec=0)).alias
