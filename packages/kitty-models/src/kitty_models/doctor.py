"""Everything about models on this machine in one report. It only looks; showing it is the command line's work."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kitty_models.catalogue import CATALOGUE
from kitty_models.discover import Endpoint, Role, any_explicit, distinct_servers
from kitty_models.machine import Advice, Machine, choose
from kitty_models.probe import BackendReport, probe
from kitty_models.serve import Problem, check_engine
from kitty_models.store import InstalledModel, list_models, model_dir


@dataclass(frozen=True)
class BackendCheck:
    """One server and the roles it has."""

    roles: tuple[Role, ...]
    explicit: bool
    report: BackendReport

    def to_dict(self) -> dict[str, Any]:
        return {"roles": list(self.roles), "explicit": self.explicit, **self.report.to_dict()}


@dataclass(frozen=True)
class DoctorReport:
    """What was found. Holds no API key."""

    machine: Machine
    advice: Advice
    """The embedded model for this machine."""
    engine_problems: tuple[Problem, ...]
    model_dir: Path
    models: tuple[InstalledModel, ...]
    backends: tuple[BackendCheck, ...]
    default: str
    """What a job would use now: an embedded alias, or the base URL of a server."""
    default_reason: str
    ready: bool
    """Whether that would work without anything being pulled or repaired."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "machine": self.machine.to_dict(),
            "advice": self.advice.to_dict(),
            "engine_problems": [problem.to_dict() for problem in self.engine_problems],
            "model_dir": str(self.model_dir),
            "models": [model.to_dict() for model in self.models],
            "backends": [backend.to_dict() for backend in self.backends],
            "default": self.default,
            "default_reason": self.default_reason,
            "ready": self.ready,
        }


async def examine(
    env: Mapping[str, str] | None = None,
    directory: Path | None = None,
    *,
    refresh: bool = False,
    machine: Machine | None = None,
    cache_file: Path | None = None,
) -> DoctorReport:
    """Looks at the machine, the engine, the installed models and the servers that the environment names.

    Raises:
        BadSetting: an address in the environment is not one; the message names the variable.
    """
    chosen_env = os.environ if env is None else env
    folder = directory or model_dir(chosen_env)
    here = machine or Machine.inspect()
    backends = await _check_backends(distinct_servers(chosen_env), refresh, cache_file)
    problems, models, advice = tuple(check_engine()), tuple(list_models(folder)), choose(here)
    default, reason, ready = choose_default(any_explicit(chosen_env), backends, advice, problems, models)
    return DoctorReport(here, advice, problems, folder, models, backends, default, reason, ready)


def choose_default(
    explicit: bool,
    backends: tuple[BackendCheck, ...],
    advice: Advice,
    problems: tuple[Problem, ...],
    models: tuple[InstalledModel, ...],
) -> tuple[str, str, bool]:
    """What a job would use, why, and whether it would work now. Servers come in the order coder, F16, Q4."""
    usable = [backend for backend in backends if backend.report.reachable]
    if usable:
        best = usable[0]
        why = "set in the environment" if best.explicit else "it answers on a default port"
        working = best.report.error is None
        return best.report.base_url, why if working else f"{why}, but: {best.report.error}", working
    if explicit:
        return backends[0].report.base_url, "set in the environment, but nothing answers there", False
    if problems:
        return advice.alias, f"no server answers, and the embedded engine cannot run: {problems[0]}", False
    if advice.alias not in {model.alias for model in models}:
        size = next(spec.size_bytes or 0 for spec in CATALOGUE if spec.alias == advice.alias)
        return advice.alias, f"{advice.reason}; to be pulled on first use ({size / 1e6:,.0f} MB)", False
    return advice.alias, advice.reason, True


async def _check_backends(
    roles: Mapping[Endpoint, tuple[Role, ...]], refresh: bool, cache_file: Path | None
) -> tuple[BackendCheck, ...]:
    """One check for each server, those of the environment first, then in the order coder, F16, Q4."""
    reports = await asyncio.gather(
        *(probe(server.base_url, server.api_key, refresh=refresh, cache_file=cache_file) for server in roles)
    )
    checks = [
        BackendCheck(names, server.explicit, report)
        for (server, names), report in zip(roles.items(), reports, strict=True)
    ]
    return tuple(sorted(checks, key=lambda check: not check.explicit))
