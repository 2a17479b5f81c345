"""How many cores other programs leave: what is idle, and what our own programs use, watched for a short while.

The load average cannot tell: it counts our own busy engine as a stranger, and forgets a stranger only after a minute.
Ours are this process, everything it started, and every embedded engine on this machine.
"""

import time
from dataclasses import dataclass

import psutil  # type: ignore[import-untyped]  # it ships no types

ENGINE_MODULE = "kitty_models.engine"


@dataclass(frozen=True)
class CpuSample:
    """Seconds of processor time, summed over all cores, up to one moment."""

    total: float
    idle: float
    ours: float

    @classmethod
    def take(cls) -> "CpuSample":
        """Looks at the machine and at every process."""
        machine = psutil.cpu_times()
        guests = getattr(machine, "guest", 0.0) + getattr(machine, "guest_nice", 0.0)  # counted in `user` too
        return cls(sum(machine) - guests, machine.idle + getattr(machine, "iowait", 0.0), _our_seconds())


def measure_free_cores(watch_sec: float) -> float | None:
    """Watches for `watch_sec` seconds; blocks that long. None where nothing is known."""
    if watch_sec <= 0:
        return None
    before = CpuSample.take()
    time.sleep(watch_sec)
    return free_cores(before, CpuSample.take(), psutil.cpu_count() or 1)


def free_cores(before: CpuSample, after: CpuSample, cores: int) -> float | None:
    """Cores that were idle or ours between two samples. None where the machine counts no time (some containers)."""
    total = after.total - before.total
    if total <= 0:
        return None
    # One of ours that ended meanwhile takes its seconds along: never less than nothing.
    free = after.idle - before.idle + max(0.0, after.ours - before.ours)
    return cores * min(1.0, max(0.0, free / total))


def _our_seconds() -> float:
    return sum(map(_seconds_of, our_processes()))


def our_processes() -> set[psutil.Process]:
    """This process, its descendants, and embedded engines, whoever started them."""
    here = psutil.Process()
    engines = {
        process for process in psutil.process_iter(["cmdline"]) if ENGINE_MODULE in (process.info["cmdline"] or ())
    }
    return {here, *here.children(recursive=True), *engines}


def _seconds_of(process: psutil.Process) -> float:
    """With the children it has waited for, so that nothing is lost when one ends."""
    try:
        times = process.cpu_times()
    except psutil.Error:  # it ended just now, or belongs to somebody else
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
