"""What this machine can carry, and which embedded model fits it.

`Machine.inspect()` looks; `choose()` decides from what it is given and looks at nothing.
"""

import os
import platform
import sys
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # it ships no types

from kitty_models.catalogue import CATALOGUE, GIB, KITTY_CODER, KITTY_CODER_SMALL
from kitty_models.cpu_use import measure_free_cores

REQUIRED_X86_FLAGS = ("avx2", "fma", "f16c", "bmi2")
"""The engine's wheel is built for these; without them it dies of SIGILL."""
LARGE_MIN_AVAILABLE_BYTES = 3 * GIB
LARGE_MIN_CORES = 2
BUSY_FREE_SHARE = 0.25
"""Where other programs leave less of the cores, one thread is faster than several (docs/decisions/0005)."""
WATCH_SEC = 0.2
"""So long the use of the cores is watched."""
MAX_THREADS = 16
"""More threads wait for memory instead of computing."""
DEFAULT_N_CTX = 8192
SMALL_N_CTX = 4096
CGROUP = Path("/sys/fs/cgroup")
PROC = Path("/proc")


@dataclass(frozen=True)
class Machine:
    """What matters for running a model here."""

    cores: int
    """That this process may use: affinity and cgroup quota counted in."""
    available_bytes: int
    """Memory that can be had without swapping, within the cgroup's limit."""
    total_bytes: int
    architecture: str
    free_cores: float | None = None
    """What other programs leave of the cores just now, our own engine's share counted as free; None: not measured."""
    missing_cpu_flags: tuple[str, ...] = ()
    system: str = "linux"

    @classmethod
    def inspect(cls, cgroup: Path = CGROUP, proc: Path = PROC, watch_sec: float = WATCH_SEC) -> "Machine":
        """Looks at this machine.

        Args:
            watch_sec: how long to watch the cores; blocks that long. 0 where only the model is to be chosen.
        """
        memory = psutil.virtual_memory()
        limit, used = _cgroup_memory(cgroup)
        available = memory.available if limit is None else min(memory.available, max(0, limit - used))
        return cls(
            cores=usable_cores(cgroup),
            available_bytes=available,
            total_bytes=memory.total if limit is None else min(memory.total, limit),
            architecture=platform.machine().lower(),
            free_cores=measure_free_cores(watch_sec),
            missing_cpu_flags=missing_cpu_flags(proc),
            system=sys.platform,
        )

    @property
    def is_busy(self) -> bool:
        """Whether other programs want the cores."""
        return self.free_cores is not None and self.free_cores < BUSY_FREE_SHARE * self.cores

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Advice:
    """The embedded model for a machine, and how to run it."""

    alias: str
    threads: int
    n_ctx: int
    reason: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def choose(machine: Machine, allowed: Collection[str] | None = None) -> Advice:
    """The best model that runs acceptably. The 1.5B makes 13–18 tokens a second on two idle cores.

    Args:
        allowed: aliases to choose from, for example the installed ones when nothing can be pulled. Default: all.
    """
    names = {spec.alias for spec in CATALOGUE} if allowed is None else set(allowed)
    alias, reason = _model_for(machine)
    if alias not in names and names:
        alias = next((spec.alias for spec in CATALOGUE if spec.alias in names), alias)
        reason = f"{reason}, but only {alias} is to be had"
    threads, about_threads = _threads_for(machine)
    roomy = machine.available_bytes >= 2 * GIB
    return Advice(alias, threads, DEFAULT_N_CTX if roomy else SMALL_N_CTX, f"{reason}; {about_threads}")


def _model_for(machine: Machine) -> tuple[str, str]:
    free = f"{machine.available_bytes / GIB:.1f} GiB of memory available"
    if machine.available_bytes < LARGE_MIN_AVAILABLE_BYTES:
        return KITTY_CODER_SMALL.alias, f"only {free}: the 0.5B model"
    if machine.cores < LARGE_MIN_CORES:
        return KITTY_CODER_SMALL.alias, "one core only: the 0.5B model"
    return KITTY_CODER.alias, f"{machine.cores} cores and {free}: the 1.5B model"


def _threads_for(machine: Machine) -> tuple[int, str]:
    if machine.is_busy:
        return 1, f"one thread, because other programs leave {machine.free_cores:.1f} of {machine.cores} cores"
    threads = max(1, min(machine.cores, MAX_THREADS))
    return threads, f"{threads} thread{'s' if threads > 1 else ''}"


def usable_cores(cgroup: Path = CGROUP) -> int:
    """Cores this process may use: its affinity, physical ones where fewer, and the cgroup's CPU quota, rounded down."""
    logical = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = min(logical, psutil.cpu_count(logical=False) or logical)
    quota = _cgroup_quota(cgroup)
    return max(1, cores if quota is None else min(cores, int(quota)))


def missing_cpu_flags(proc: Path = PROC, architecture: str | None = None) -> tuple[str, ...]:
    """Instruction sets the engine needs and this processor lacks. Empty where that cannot be told."""
    if (architecture or platform.machine()).lower() not in ("x86_64", "amd64"):
        return ()
    for line in _read(proc / "cpuinfo").splitlines():
        if line.startswith("flags"):
            present = set(line.partition(":")[2].split())
            return tuple(flag for flag in REQUIRED_X86_FLAGS if flag not in present)
    return ()


def _cgroup_folders(cgroup: Path) -> list[Path]:
    """This process's cgroup and its parents up to the root (version 2)."""
    own = next((line[3:] for line in _read(PROC / "self" / "cgroup").splitlines() if line.startswith("0::")), "/")
    folder = cgroup / own.lstrip("/")
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(cgroup))]


def _cgroup_quota(cgroup: Path) -> float | None:
    quotas = []
    for folder in _cgroup_folders(cgroup):
        quota, _, period = _read(folder / "cpu.max").partition(" ")
        if quota.isdigit() and period.strip().isdigit():
            quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def _cgroup_memory(cgroup: Path) -> tuple[int | None, int]:
    """The tightest memory limit and what is used of it without the page cache, which is given back under pressure."""
    tightest: tuple[int | None, int] = (None, 0)
    for folder in _cgroup_folders(cgroup):
        limit = _read(folder / "memory.max").strip()
        if limit.isdigit() and (tightest[0] is None or int(limit) < tightest[0]):
            current = _read(folder / "memory.current").strip()
            cached = _stat(_read(folder / "memory.stat"), "inactive_file")
            tightest = int(limit), max(0, int(current or 0) - cached)
    return tightest


def _stat(text: str, key: str) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{key} ")), 0)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux, or no such controller
        return ""
