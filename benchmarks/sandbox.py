"""`./kitty bench sandbox [--rounds N] [--json]`: what isolation costs, beside a bare `python -m pytest` subprocess.

All of it is taken in one run, interleaved, as medians: ratios travel between machines, milliseconds do not.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from kitty_sandbox import BubblewrapSandbox, SandboxLimits, SandboxMatrix, SandboxRun

PROGRAM = "def add(a, b):\n    return a + b\n"
TESTS = "from solution import add\n" + "".join(
    f"\n\ndef test_{number}():\n    assert add({number}, 1) == {number + 1}\n" for number in range(5)
)
SPIN = "def test_spin():\n    while True: pass\n"
CANDIDATES = 20
CHECKS = tuple(f"assert add({number}, 1) == {number + 1}" for number in range(5))
LIMITS = {
    "in-process": 0.08,
    "split": 0.15,
    "isolation alone": 0.025,
    "matrix, a candidate": 0.03,
}
"""The most that each may take, as a share of the bare run."""


def run_of(tests: str = TESTS, *, split: bool = False, timeout_sec: float = 20) -> SandboxRun:
    """The five trivial tests, or others."""
    files = {"solution.py": PROGRAM, "test_solution.py": tests}
    return SandboxRun(files, ("test_solution.py",), SandboxLimits(timeout_sec=timeout_sec), split=split)


class Bare:
    """What everybody does: `python -m pytest -q FOLDER` in a subprocess, a fresh folder each time, no plugins."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    async def run(self) -> None:
        """One run. Raises RuntimeError when it does not pass."""
        self._count += 1
        place = self._folder / str(self._count)
        place.mkdir()
        (place / "solution.py").write_text(PROGRAM)
        (place / "test_solution.py").write_text(TESTS)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pytest", "-q", str(place)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        )
        if await process.wait() != 0:
            raise RuntimeError("the bare run failed")


async def milliseconds(action: Callable[[], Awaitable[Any]]) -> float:
    """The wall time of one call."""
    begun = time.perf_counter()
    await action()
    return (time.perf_counter() - begun) * 1000


class Ours:
    """The same through the sandbox, and its other ways to run. Each raises RuntimeError when it does not pass."""

    def __init__(self, sandbox: BubblewrapSandbox) -> None:
        self.sandbox = sandbox

    async def together(self) -> None:
        """The five tests, program and tests in one process."""
        await self._passing(run_of(), "in-process")

    async def split(self) -> None:
        """The five tests, in two processes."""
        await self._passing(run_of(split=True), "split")

    async def isolation(self) -> None:
        """Every wall, and nothing inside."""
        await self.sandbox.matrix(SandboxMatrix(("",), ("None",)))

    async def matrix(self, count: int) -> None:
        """`count` candidates, five checks each."""
        candidates = tuple(f"{PROGRAM}# {number}\n" for number in range(count))
        rows = await self.sandbox.matrix(SandboxMatrix(candidates, CHECKS))
        if not all(cell.outcome == "passed" for row in rows for cell in row.cells):
            raise RuntimeError(f"a cell did not pass: {rows[0]}")

    async def _passing(self, run: SandboxRun, strength: str) -> None:
        result = await self.sandbox.run(run)
        if not result.passed or result.verdict_strength != strength:
            raise RuntimeError(f"{result.outcome}: {result.reason}")


async def measure(rounds: int) -> dict[str, Any]:
    """All figures, as `main` prints them. Raises SystemExit where nothing can be isolated."""
    sandbox = BubblewrapSandbox()
    status = await sandbox.probe()
    if not status.available:
        raise SystemExit(f"{status.reason} {status.fix}")
    ours = Ours(sandbox)
    with tempfile.TemporaryDirectory() as folder:
        bare = Bare(Path(folder))
        medians = await _medians(bare, ours, rounds)
        throughput = await _throughput(bare.run, ours.together, rounds)
    ratios = {name: value / medians["bare"] for name, value in medians.items() if name != "bare"}
    answer = {
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "load": os.getloadavg()[0],
            "python": sys.version.split()[0],
        },
        "tier": status.sandbox_tier,
        "rounds": rounds,
        "median_ms": {name: round(value, 2) for name, value in medians.items()},
        "ratio_to_bare": {name: round(value, 4) for name, value in ratios.items()},
        "runs_a_second": throughput,
        "private_mb_of_a_fork_server": [round(_private_kb(pid) / 1024, 1) for pid in sandbox.server_pids()],
        "beside_a_spinning_run": await _beside_spinning(ours, rounds),
        "deadline_overshoot_ms": await _overshoot(sandbox),
        "missed": [f"{name}: {ratios[name]:.3f} > {most}" for name, most in LIMITS.items() if ratios[name] > most],
    }
    sandbox.close()
    return answer


async def _medians(bare: Bare, ours: Ours, rounds: int) -> dict[str, float]:
    """Milliseconds of each way to run, taken in turns; of the matrix also for one candidate among many."""
    actions: dict[str, Callable[[], Awaitable[None]]] = {
        "bare": bare.run,
        "in-process": ours.together,
        "split": ours.split,
        "isolation alone": ours.isolation,
        "matrix, one candidate": lambda: ours.matrix(1),
        "matrix, all": lambda: ours.matrix(CANDIDATES),
    }
    times: dict[str, list[float]] = {name: [] for name in actions}
    for action in actions.values():
        await action()  # the first of each kind warms up
    for _ in range(rounds):
        for name, action in actions.items():
            times[name] += [await milliseconds(action) for _ in range(1 if name == "bare" else 2)]
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {**medians, "matrix, a candidate": medians.pop("matrix, all") / CANDIDATES}


async def _throughput(
    bare: Callable[[], Awaitable[None]], ours: Callable[[], Awaitable[None]], rounds: int
) -> dict[str, float]:
    """Runs a second with every core busy, in turns."""
    workers = len(os.sched_getaffinity(0))
    rates: dict[str, list[float]] = {"bare": [], "in-process": []}
    for _ in range(max(2, rounds // 4)):
        for name, action, count in (("bare", bare, workers * 2), ("in-process", ours, workers * 20)):
            begun = time.perf_counter()
            gate = asyncio.Semaphore(workers)

            async def one(action: Callable[[], Awaitable[None]] = action, gate: asyncio.Semaphore = gate) -> None:
                async with gate:
                    await action()

            await asyncio.gather(*(one() for _ in range(count)))
            rates[name].append(count / (time.perf_counter() - begun))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    return {
        **{name: round(value, 2) for name, value in medians.items()},
        "times": round(medians["in-process"] / medians["bare"], 1),
    }


async def _private_memory(sandbox: BubblewrapSandbox) -> list[float]:
    """Memory that is each fork server's own, in MB."""
    return [round(_private_kb(pid) / 1024, 1) for pid in sandbox.server_pids()]


def _private_kb(outer: int) -> int:
    """Of the fork server below bubblewrap's two halves: the last of the chain of first children."""
    pid = outer
    while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        pid = int(children[0])
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


async def _beside_spinning(ours: Ours, rounds: int) -> dict[str, float]:
    """The median of a run alone, and beside one that spins."""
    alone = [await milliseconds(ours.together) for _ in range(rounds)]
    spinning = asyncio.create_task(ours.sandbox.run(run_of(SPIN, timeout_sec=60)))
    await asyncio.sleep(0.5)
    beside = [await milliseconds(ours.together) for _ in range(rounds)]
    spinning.cancel()
    await asyncio.gather(spinning, return_exceptions=True)
    first, second = statistics.median(alone), statistics.median(beside)
    return {"alone_ms": round(first, 2), "beside_ms": round(second, 2), "times": round(second / first, 2)}


async def _overshoot(sandbox: BubblewrapSandbox) -> float:
    """The longest time past its deadline that a run took to be answered, of five that spin."""
    worst = 0.0
    for _ in range(5):
        result = await sandbox.run(run_of(SPIN, timeout_sec=0.5))
        if result.outcome != "timeout":
            raise RuntimeError(f"a run without end was {result.outcome}")
        worst = max(worst, result.seconds - 0.5)
    return round(worst * 1000, 1)


def main() -> None:
    """Print the figures; exit 1 when a limit was missed."""
    parser = argparse.ArgumentParser(prog="./kitty bench sandbox", description="What isolation costs.")
    parser.add_argument("--rounds", type=int, default=15, help="default 15")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = asyncio.run(measure(max(2, options.rounds)))
    if options.json:
        print(json.dumps(figures, indent=2))
    else:
        for name, value in figures["median_ms"].items():
            share = figures["ratio_to_bare"].get(name)
            print(f"{name:24} {value:9.2f} ms" + (f"   {share:.3f} of bare" if share is not None else ""))
        for name in ("runs_a_second", "private_mb_of_a_fork_server", "beside_a_spinning_run", "deadline_overshoot_ms"):
            print(f"{name.replace('_', ' ')}: {figures[name]}")
        print(f"machine: {figures['machine']}, tier {figures['tier']}")
        for line in figures["missed"]:
            print(f"missed: {line}")
    sys.exit(1 if figures["missed"] else 0)


if __name__ == "__main__":
    main()
