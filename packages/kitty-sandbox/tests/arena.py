"""Runs the corpus: in a sandbox, and without any wall for the positive control.

    python arena.py TIER WAY [--inside NAME...]

as the user who calls it, and prints a JSON object: attack -> [ending, detail] for `outside`, for runs `together` with
their tests and `apart` from them, and for checks in a `matrix`; the status of the sandbox; what was left over. WAY is
one of `kitty_sandbox.policy.Privilege`, or `any`. Without names: all attacks, and outside as well.
"""

import ast
import asyncio
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from baits import baited
from corpus.attacks import ATTACKS, Attack
from sandbox_soak import descendants

from kitty_sandbox import (
    BubblewrapSandbox,
    SandboxLimits,
    SandboxMatrix,
    SandboxResult,
    SandboxRun,
    SandboxUnavailable,
    supervisor,
)

TESTS = Path(__file__).parent
TEST_FILE = "test_attacks.py"
IMPORTS = "import corpus.attacks\n"
Seen = tuple[str, str]
"""How an attack ended (`escaped`, `contained`, `refused`, or as its run: `timeout`, `killed`, …) and what it said."""


def corpus_files(facts: Mapping[str, Any]) -> dict[str, str]:
    """The corpus and its bait, as files of a run."""
    files = {f"corpus/{path.name}": path.read_text(encoding="utf-8") for path in (TESTS / "corpus").glob("*.py")}
    return {**files, "bait.json": json.dumps(facts)}


def make_run(attacks: Iterable[Attack], facts: Mapping[str, Any], *, apart: bool = False) -> SandboxRun:
    """One run of all of `attacks`, each in a test of its own; limits and profile are the first one's.

    `apart` puts them into the program's process of a split run, else they share the tests'.
    """
    attacks = list(attacks)
    program, tests = IMPORTS, "import attempts\n"
    for at, item in enumerate(attacks):
        program += f"def attempt_{at}(): corpus.report({item.name!r})\n"
        tests += f"def test_{at}(): attempts.attempt_{at}()\n"
    files = {**corpus_files(facts), "attempts.py": program, TEST_FILE: tests}
    limits = SandboxLimits(**{"timeout_sec": 20, **attacks[0].limits})
    return SandboxRun(files, (TEST_FILE,), limits, attacks[0].profile, split=apart)


def read_result(attacks: Iterable[Attack], result: SandboxResult) -> dict[str, Seen]:
    """What each said; one that could not say anything ended as its run did."""
    said = read_lines(result.stdout)
    messages = {case.id: case.message for case in result.cases}
    seen = {}
    for at, item in enumerate(attacks):
        silent = (result.outcome, messages.get(f"{TEST_FILE}::test_{at}") or result.reason)
        seen[item.name] = said.get(item.name, silent)
    return seen


def read_lines(text: str) -> dict[str, Seen]:
    """What `corpus.report` wrote, by attack."""
    said = {}
    for line in text.splitlines():
        if line.startswith("@["):
            name, got_through, detail = json.loads(line[1:])
            said[name] = ("escaped" if got_through else "contained", detail)
    return said


async def run_matrix(
    sandbox: BubblewrapSandbox, attacks: Iterable[Attack], facts: Mapping[str, Any]
) -> dict[str, Seen]:
    """Those that need no run of their own, each as a check of one candidate."""
    names = [item.name for item in attacks if not item.alone]
    checks = tuple(f"corpus.try_out({name!r})" for name in names)
    files = corpus_files(facts)
    (row,) = await sandbox.matrix(SandboxMatrix(("import corpus.attacks\n",), checks, files=files, check_sec=10))
    seen = {name: (cell.outcome, f"{cell.message} {row.reason}") for name, cell in zip(names, row.cells, strict=True)}
    values = [ast.literal_eval(cell.value) for cell in row.cells if cell.value]
    return {**seen, **read_lines("\n".join(f"@{value}" for value in values))}


async def run_inside(
    sandbox: BubblewrapSandbox,
    attacks: Iterable[Attack],
    facts: Mapping[str, Any],
    tiers: set[str],
    *,
    apart: bool = False,
) -> dict[str, Seen]:
    """The harmless ones together in one run, the others in a run each; adds to the `tiers` that were in force."""
    attacks = [item for item in attacks if not (apart and item.profile == "proc")]
    groups = [[item for item in attacks if not item.alone], *([item] for item in attacks if item.alone)]
    seen: dict[str, Seen] = {}

    async def run(group: list[Attack]) -> None:
        try:
            result = await sandbox.run(make_run(group, facts, apart=apart))
        except SandboxUnavailable as error:
            seen.update({item.name: ("refused", error.reason) for item in group})
            return
        assert result.verdict_strength == ("split" if apart else "in-process"), result
        assert result.seconds < group[0].limits.get("timeout_sec", 20) + 0.5, (group[0].name, result)
        seen.update(read_result(group, result))
        tiers.add(result.sandbox_tier)

    await asyncio.gather(*(run(group) for group in groups if group))
    return seen


def run_outside(attacks: Iterable[Attack], facts: Mapping[str, Any]) -> dict[str, Seen]:
    """Those that have a positive control, in a plain interpreter, each in a fork of its own."""
    names = [item.name for item in attacks if item.outside]
    with tempfile.TemporaryDirectory(prefix="kitty-bare-") as folder:
        work = Path(folder, "work")
        (work / "scratch").mkdir(parents=True)
        (work / TEST_FILE).write_text("")
        own = {"tests": str(work / TEST_FILE), "program": [str(work)], "folder": str(work / "scratch")}
        Path(folder, "bait.json").write_text(json.dumps({**facts, **own}))
        done = subprocess.run(
            [sys.executable, "-c", f"{IMPORTS}import json, sys\ncorpus.run_bare(json.load(sys.stdin))\n"],
            input=json.dumps(names),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=100,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(TESTS), "KITTY_BAIT": f"{folder}/bait.json"},
            pass_fds=(facts["inherited"],),
        )
    said = read_lines(done.stdout)
    return {name: said.get(name, ("silent", done.stderr[-2000:])) for name in names}


async def stage(tier: str, way: str, names: Iterable[str]) -> dict[str, Any]:
    """All sides of the attacks `names`, or of all of them, as JSON."""
    attacks = [ATTACKS[name] for name in names or ATTACKS]
    if way != "any":
        supervisor.privileges = lambda: (way,)  # type: ignore[assignment, return-value]
    tiers: set[str] = set()
    with baited() as facts:
        outside = {} if names else run_outside(attacks, facts)
        before = descendants()
        # Without bubblewrap the tier `landlock` has nothing better to take.
        bwrap = "/nowhere" if tier == "landlock" else None
        sandbox = BubblewrapSandbox(tier=tier, bwrap=bwrap, workers=4)  # type: ignore[arg-type]  # many of them wait
        status = await sandbox.probe()
        with contextlib.closing(sandbox):
            together = await run_inside(sandbox, attacks, facts, tiers)
            apart = {} if tier == "landlock" else await run_inside(sandbox, attacks, facts, tiers, apart=True)
            matrix = await run_matrix(sandbox, attacks, facts)
        left_over = sorted(descendants() - before)
    seen = {"outside": outside, "together": together, "apart": apart, "matrix": matrix}
    return {**seen, "status": dataclasses.asdict(status), "tiers": sorted(tiers), "left_over": left_over}


def main() -> None:
    tier, way, *names = sys.argv[1:]
    print(json.dumps(asyncio.run(stage(tier, way, names[1:]))))


if __name__ == "__main__":
    main()
