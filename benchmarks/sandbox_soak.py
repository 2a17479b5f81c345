"""Many runs in a row: is anything left over, does anything grow, how late do deadlines come?

    ./kitty bench sandbox_soak [--runs 2000] [--concurrent 200]

Prints one JSON object, and exits with 1 where it holds a leftover or a growth that it should not (see `complaints`).
`packages/kitty-sandbox/tests/test_soak.py` runs the same with fewer runs.
"""

import argparse
import asyncio
import dataclasses
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from kitty_sandbox import BubblewrapSandbox, SandboxLimits, SandboxResult, SandboxRun

DEADLINE_SEC = 0.2
MOST_LATE_SEC = 0.5
MOST_GROWTH_MB = 16
"""Of this process; the fork servers are replaced before they could grow."""
ADD = "def add(a, b):\n    return a + b\n"
TESTS = "from solution import add\ndef test_add(): assert add(1, 2) == 3\n"
PROGRAMS = (
    (ADD, "passed"),
    ("def add(a, b): return 0\n", "failed"),
    (ADD + "import tempfile\nopen(tempfile.mkstemp()[1], 'w').write('x' * 10**6)\n", "passed"),
    ("import os\ndef add(a, b): os._exit(0)\n", "failed"),
    ("import os\ndef add(a, b): os.abort()\n", "killed"),
    (ADD + "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n", "passed"),
    ("def add(a, b):\n    while True: pass\n", "timeout"),
    ("def add(a, b): return bytearray(2 * 1024 ** 3)\n", "failed"),
)


@dataclass(frozen=True)
class Soak:
    """What many runs in a row left behind."""

    runs: int
    seconds: float
    wrong_outcomes: int
    leftover_processes: int
    leftover_mounts: int
    leftover_descriptors: int
    leftover_files: int
    rss_start_mb: float
    rss_end_mb: float
    worst_overshoot_sec: float

    def complaints(self) -> list[str]:
        """What should not be; empty where all is well."""
        counts = {name: value for name, value in dataclasses.asdict(self).items() if name.startswith(("left", "wrong"))}
        said = [f"{value} {name}" for name, value in counts.items() if value]
        if self.rss_end_mb - self.rss_start_mb > MOST_GROWTH_MB:
            said.append(f"grew from {self.rss_start_mb:.0f} to {self.rss_end_mb:.0f} MB")
        if self.worst_overshoot_sec > MOST_LATE_SEC:
            said.append(f"{self.worst_overshoot_sec:.2f} s after the deadline")
        return said


async def soak(sandbox: BubblewrapSandbox, runs: int, seen: Callable[[], None] = lambda: None) -> Soak:
    """`runs` runs of all kinds, one after the other; `seen` is called after each."""
    await _runs_of_all_kinds(sandbox, len(PROGRAMS) * 2)  # what is loaded once is loaded now
    sandbox.close()
    with _own_temporary_folder() as folder:
        before, start, began = _Traces.now(folder), _rss_mb(), time.monotonic()
        wrong, worst = 0, 0.0
        async for outcome, result in _many(sandbox, runs):
            wrong += result.outcome != outcome
            if outcome == "timeout":
                worst = max(worst, result.seconds - DEADLINE_SEC)
            seen()
        seconds = time.monotonic() - began
        sandbox.close()
        gc.collect()
        after = _Traces.now(folder)
    return Soak(
        runs=runs,
        seconds=round(seconds, 1),
        wrong_outcomes=wrong,
        leftover_processes=len(after.processes - before.processes),
        leftover_mounts=len(after.mounts - before.mounts),
        leftover_descriptors=len(after.descriptors - before.descriptors),
        leftover_files=len(after.files - before.files),
        rss_start_mb=round(start, 1),
        rss_end_mb=round(_rss_mb(), 1),
        worst_overshoot_sec=round(worst, 3),
    )


async def crowd(sandbox: BubblewrapSandbox, requests: int) -> dict[str, float]:
    """All at once: they queue, and each must be answered with its own answer."""
    began = time.monotonic()
    numbers = range(requests)
    results = await asyncio.gather(*(sandbox.run(_numbered_run(number)) for number in numbers))
    right = sum(result.passed and result.stdout == f"{n}\n" for n, result in zip(numbers, results, strict=True))
    return {"requests": requests, "answered_rightly": right, "seconds": round(time.monotonic() - began, 1)}


def descendants() -> set[int]:
    """Every living process that this one started, however deep; zombies that wait for nobody count as gone."""
    return descendants_of(os.getpid())


def descendants_of(pid: int) -> set[int]:
    """Every living process below `pid`."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


@dataclass(frozen=True)
class _Traces:
    """What a run could leave on this machine."""

    processes: set[int]
    mounts: set[str]
    descriptors: set[str]
    files: set[str]

    @classmethod
    def now(cls, folder: str) -> "_Traces":
        return cls(
            descendants(),
            set(Path("/proc/self/mountinfo").read_text().splitlines()),
            set(os.listdir("/proc/self/fd")),
            set(os.listdir(folder)),
        )


@contextmanager
def _own_temporary_folder() -> Iterator[str]:
    """Where this process alone makes its temporary files, so that those of others do not count."""
    usual = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="kitty-soak-") as folder:
        tempfile.tempdir = folder
        try:
            yield folder
        finally:
            tempfile.tempdir = usual


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _make_run(program: str, timeout_sec: float) -> SandboxRun:
    files = {"solution.py": program, "test_solution.py": TESTS}
    return SandboxRun(files, ("test_solution.py",), SandboxLimits(timeout_sec=timeout_sec))


def _numbered_run(number: int) -> SandboxRun:
    return SandboxRun({"test_a.py": f"def test_a(): print({number})\n"}, ("test_a.py",))


async def _many(sandbox: BubblewrapSandbox, runs: int) -> AsyncIterator[tuple[str, SandboxResult]]:
    for number in range(runs):
        program, outcome = PROGRAMS[number % len(PROGRAMS)]
        timeout_sec = DEADLINE_SEC if outcome == "timeout" else 20
        yield outcome, await sandbox.run(_make_run(program, timeout_sec))


async def _runs_of_all_kinds(sandbox: BubblewrapSandbox, runs: int) -> None:
    async for _ in _many(sandbox, runs):
        pass


@asynccontextmanager
async def _opened() -> AsyncIterator[BubblewrapSandbox]:
    sandbox = BubblewrapSandbox()
    try:
        yield sandbox
    finally:
        sandbox.close()


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--concurrent", type=int, default=200)
    options = parser.parse_args()
    async with _opened() as sandbox:
        crowded = await crowd(sandbox, options.concurrent)
        soaked = await soak(sandbox, options.runs)
    complaints = soaked.complaints()
    if crowded["answered_rightly"] != options.concurrent:
        complaints.append("a concurrent request was lost")
    report = {**dataclasses.asdict(soaked), "crowd": crowded}
    print(json.dumps({**report, "complaints": complaints}))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
