"""The sandbox: fork servers in bubblewrap, a process tree for every run, and a verdict from its report pipe.

Where namespaces are refused and the operator allows it (tier `landlock`), fork servers start without bubblewrap.

It stops: network, the host's files, environment and processes, writing anywhere but a small /tmp, new processes and
programs, more memory, time or output than allowed, leftovers after the end, and verdicts that were not earned as far as
`report` says. Where the walls cannot be built it refuses; nothing is ever run without them.
It does not stop: attacks on the kernel through allowed system calls (there is no VM here), timing and cache side
channels, and a candidate that patches pytest in its own process for all tests but the control.

run → probe (once) → a fork server of the pool → attempt ─┬─> judge → result
                              ↑                           └─> infrastructure failure ─┐
                              └──────────────────── once, on a fresh server ──────────┘
"""

import asyncio
import dataclasses
import itertools
import os
import secrets
import shutil
from pathlib import Path
from typing import Any, Literal

from kitty_sandbox.apart import take_apart, why_together
from kitty_sandbox.bait import bait
from kitty_sandbox.diagnosis import install_fix, read_os_release, summarize, why_not
from kitty_sandbox.errors import SandboxUnavailable
from kitty_sandbox.expectations import Expectations, expect
from kitty_sandbox.guest.seccomp import has_filter
from kitty_sandbox.guest.syscalls import landlock_abi
from kitty_sandbox.launch import Launcher, encoded
from kitty_sandbox.matrix import fill_matrix
from kitty_sandbox.place import Place, check_profile, make_place, privileges, privileges_without_namespaces
from kitty_sandbox.policy import Privilege
from kitty_sandbox.pool import Pool
from kitty_sandbox.port import (
    MatrixRow,
    Outcome,
    SandboxLimits,
    SandboxMatrix,
    SandboxResult,
    SandboxRun,
    SandboxStatus,
    SandboxTier,
)
from kitty_sandbox.python_env import PythonEnv, inspect_python
from kitty_sandbox.report import Evidence, Verdict, judge
from kitty_sandbox.zygote import Ending, ZygoteFailed

_NO_FILTER = "No seccomp filter is known for this processor: processes are only bounded in number, not refused."
_NO_LANDLOCK = "This kernel has no Landlock: the sandbox tier is ns-only."
_KEPT_IDENTITY = "The guest keeps root's identity (in a user namespace), as no other user can read the interpreter."


class BubblewrapSandbox:
    """Implements `Sandbox`. One object serves concurrent runs, as many at a time as there are cores; others queue."""

    def __init__(
        self,
        python: str | Path | None = None,
        bwrap: str | Path | None = None,
        tier: SandboxTier = "full",
        workers: int | None = None,
    ) -> None:
        """Starts nothing yet.

        Args:
            python: SANDBOX_PY_PATH; None: the service's interpreter.
            bwrap: the program; None: on PATH.
            tier: SANDBOX_TIER. `full` falls to `ns-only`, with a warning, where it must; `landlock` does the same
                and takes the tier `landlock` where that does not hold either.
            workers: fork servers at most; None: one for each core this process may use.
        """
        self._python = str(python) if python else None
        self._bwrap = str(bwrap) if bwrap else None
        self._tier = tier
        self._workers = workers or len(os.sched_getaffinity(0))
        self._probing: asyncio.Lock | None = None
        self._status: SandboxStatus | None = None
        self._launcher: Launcher | None = None

    async def probe(self) -> SandboxStatus:
        """Run the escape programs once and remember the answer for the life of this object (about a second)."""
        if self._status is not None:
            return self._status
        if self._probing is None:
            self._probing = asyncio.Lock()
        async with self._probing:
            if self._status is None:
                self._status = await self._probe()
            return self._status

    async def run(self, run: SandboxRun) -> SandboxResult:
        """Run the tests and judge them.

        Raises:
            SandboxUnavailable: this machine cannot isolate a program (of this profile); nothing was run.
        """
        status = await self.probe()
        if self._launcher is None:
            raise SandboxUnavailable(status.reason, status.fix)
        check_profile(self._launcher.place, run.profile)
        expected = await asyncio.to_thread(expect, run)
        if expected.broken:
            first = expected.broken[0]
            reason = f"The test file {first.id} is not valid Python: {first.message}"
            return _not_run("failed", reason, self._launcher.place, expected)
        if not expected.allowed:
            return _not_run("no_tests", "The test files hold no test.", self._launcher.place, expected)
        result = await _attempt(self._launcher, run, expected)
        if result.outcome == "infrastructure":
            result = await _attempt(self._launcher, run, expected)
        return result

    async def matrix(self, matrix: SandboxMatrix) -> tuple[MatrixRow, ...]:
        """Put each candidate to each check: a row per candidate, in order, as `matrix` says. Not a verdict.

        Raises:
            SandboxUnavailable: this machine cannot isolate a program; nothing was run.
        """
        status = await self.probe()
        if self._launcher is None:
            raise SandboxUnavailable(status.reason, status.fix)
        check_profile(self._launcher.place, matrix.profile)
        return await fill_matrix(self._launcher, matrix)

    def server_pids(self) -> list[int]:
        """The first process (bubblewrap's own) of each fork server that waits for a run, for watching what they use."""
        return self._launcher.server_pids() if self._launcher is not None else []

    def close(self) -> None:
        """End the fork servers. They end with this process anyway, however it ends; a later run starts new ones."""
        if self._launcher is not None:
            self._launcher.close()

    async def _probe(self) -> SandboxStatus:
        python, warnings = _choose_python(self._python)
        bwrap = _find(self._bwrap or "bwrap")
        missing = f"bubblewrap is missing ({self._bwrap or 'bwrap'} was not found)."
        if bwrap is None and self._tier != "landlock":
            return _refuse(missing, install_fix(read_os_release()), warnings)
        try:
            env = await asyncio.to_thread(inspect_python, python)
        except SandboxUnavailable as error:
            return _refuse(error.reason, error.fix, warnings)
        if self._tier != "ns-only" and not landlock_abi():
            warnings.append(_NO_LANDLOCK)
        # The last one with namespaces (the first try is root's own, which says less) and the one without.
        refusals = {} if bwrap else {True: SandboxUnavailable(missing, install_fix(read_os_release()))}
        best = "full" if self._tier != "ns-only" and landlock_abi() else "ns-only"
        for tier, privilege in self._ways(with_namespaces=bwrap is not None):
            try:
                self._launcher = await self._settle(bwrap or "", env, privilege, tier)
            except SandboxUnavailable as refusal:
                refusals[tier != "landlock"] = refusal
                continue
            if privilege == "userns" and os.getuid() == 0:
                warnings.append(_KEPT_IDENTITY)
            if tier != best:
                warnings.append(f"The tier {best} did not hold here, so {tier} is used: {refusals[True].reason}")
            return SandboxStatus(True, tier, env.executable, env.version, "Isolated.", "", tuple(warnings))
        return _refuse(*summarize([*refusals.values()]), warnings, env)

    def _ways(self, *, with_namespaces: bool) -> list[tuple[SandboxTier, Privilege]]:
        """What to try, best first."""
        tiers: list[SandboxTier] = ["full", "ns-only"] if self._tier != "ns-only" and landlock_abi() else ["ns-only"]
        ways = list(itertools.product(tiers, privileges())) if with_namespaces else []
        if self._tier == "landlock":
            ways += [("landlock", privilege) for privilege in privileges_without_namespaces()]
        return ways

    async def _settle(self, bwrap: str, env: PythonEnv, privilege: Privilege, tier: SandboxTier) -> Launcher:
        """Raises `SandboxUnavailable` where an escape program got out, or none could be run."""
        place = make_place(bwrap, env, privilege, tier)
        launcher = Launcher(place, Pool(place.furnish, self._workers))
        result = await _try_to_escape(launcher)
        if result.passed:
            return launcher
        launcher.close()
        raise why_not(result, tier, self._tier)


def _find(program: str) -> str | None:
    found = shutil.which(program)
    return found and os.path.abspath(found)


def _choose_python(python: str | None) -> tuple[str | None, list[str]]:
    warnings = [] if has_filter() else [_NO_FILTER]
    if python is None or os.path.exists(os.path.expanduser(python)):
        return python and os.path.abspath(os.path.expanduser(python)), warnings
    return None, [f"SANDBOX_PY_PATH {python} does not exist; the service's own interpreter is used.", *warnings]


def _refuse(reason: str, fix: str, warnings: list[str], env: PythonEnv | None = None) -> SandboxStatus:
    python, version = (env.executable, env.version) if env else ("", "")
    return SandboxStatus(False, "", python, version, reason, fix, tuple(warnings))


def _not_run(outcome: Outcome, reason: str, place: Place, expected: Expectations) -> SandboxResult:
    return SandboxResult(False, outcome, reason, expected.broken, sandbox_tier=place.tier)


async def _try_to_escape(launcher: Launcher) -> SandboxResult:
    text = Path(__file__).with_name("escapes.py").read_text(encoding="utf-8")
    with bait(launcher.place) as facts:
        files = {"test_escapes.py": text, "escapes.json": facts}
        run = SandboxRun(files, ("test_escapes.py",), SandboxLimits(timeout_sec=20))
        return await _attempt(launcher, run, expect(run))


async def _attempt(launcher: Launcher, run: SandboxRun, expected: Expectations) -> SandboxResult:
    """One run, apart where that is asked for and possible, else together."""
    if run.split and launcher.place.tier != "landlock" and why_together(run) is None:
        result = await _run_once(launcher, run, expected, "split")
        if result is not None:
            return result
    result = await _run_once(launcher, run, expected, "tests")
    assert result is not None, "only a run apart can be unfit"
    return result


async def _run_once(
    launcher: Launcher, run: SandboxRun, expected: Expectations, mode: Literal["split", "tests"]
) -> SandboxResult | None:
    """The result; None where the tests cannot run apart."""
    nonce, control = secrets.token_hex(16), f"test_zz_{secrets.token_hex(6)}.py"
    body = f"def {control.removesuffix('.py')}():\n    assert False\n"
    fields: dict[str, Any] = {"nonce": nonce, "tests": list(run.tests), "control": control}
    try:
        if mode == "split":
            sides = take_apart(run)
            later = {"files": encoded({**sides.tests, control: body}), "modules": sides.modules, "used": sides.used}
            ending = await launcher.launch(mode, sides.program, run.limits, run.profile, {**later, **fields})
        else:
            ending = await launcher.launch(mode, {**run.files, control: body}, run.limits, run.profile, **fields)
    except ZygoteFailed as error:
        reason = "The sandbox could not be started."
        return SandboxResult(False, "infrastructure", reason, sandbox_tier=launcher.place.tier, stderr=str(error))
    own_modules = {path.partition("/")[0].removesuffix(".py") for path in run.files}
    evidence = Evidence(ending.ended, ending.exit_code, ending.report)
    verdict = judge(evidence, expected, control, nonce, own_modules, apart=mode == "split")
    if verdict.unfit is not None:
        return None
    result = _to_result(ending, verdict, launcher.place.tier)
    return dataclasses.replace(result, verdict_strength="split" if mode == "split" else "in-process")


def _to_result(ending: Ending, verdict: Verdict, tier: SandboxTier) -> SandboxResult:
    return SandboxResult(
        passed=verdict.outcome == "passed",
        outcome=verdict.outcome,
        reason=verdict.reason,
        cases=verdict.cases,
        seconds=ending.seconds,
        sandbox_tier=tier,
        stdout=ending.stdout.decode("utf-8", "replace"),
        stderr=ending.stderr.decode("utf-8", "replace"),
        exit_code=ending.exit_code,
        missing_modules=verdict.missing_modules,
    )
