"""Numbers of numbers, and of the kernel."""

import os
from collections.abc import Sequence
from pathlib import Path


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of all lie; the middle one for 0.5."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def spread(seconds: Sequence[float], *shares: int, digits: int = 1) -> dict[str, float]:
    """{"p50": …, …} in milliseconds, for shares in percent, and how many there were."""
    found = {f"p{share}": round(quantile(seconds, share / 100) * 1000, digits) for share in shares}
    return {**found, "n": len(seconds)}


def resident_mb(pid: int, *, highest: bool = False) -> float:
    """Megabytes of memory that the process holds, or held at its highest so far."""
    name = "VmHWM" if highest else "VmRSS"
    status = Path(f"/proc/{pid}/status").read_text()
    return round(int(status.split(f"{name}:")[1].split()[0]) / 1024, 1)


def cpu_sec(pid: int, *, with_ended_children: bool = False) -> float:
    """Seconds of a core that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    own = fields[11:15] if with_ended_children else fields[11:13]
    return sum(map(int, own)) / os.sysconf("SC_CLK_TCK")
