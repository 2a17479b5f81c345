"""The sandbox: fork servers in bubblewrap, a process tree for every run, and a verdict from its report pipe.

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
import contextlib
import itertools
import json
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kitty_sandbox.diagnosis import explain, install_fix, read_os_release
from kitty_sandbox.errors import SandboxUnavailable
from kitty_sandbox.expectations import Expectations, expect
from kitty_sandbox.guest.seccomp import has_filter
from kitty_sandbox.guest.syscalls import landlock_abi
from kitty_sandbox.launch import Launcher
from kitty_sandbox.place import Place, make_place, privileges
from kitty_sandbox.policy import ENVIRONMENT
from kitty_sandbox.pool import Pool
from kitty_sandbox.port import Outcome, SandboxLimits, SandboxResult, SandboxRun, SandboxStatus, SandboxTier
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
            tier: SANDBOX_TIER, the strongest to use; `full` falls to `ns-only`, with a warning, where it must.
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
            SandboxUnavailable: this machine cannot isolate a program; nothing was run.
        """
        status = await self.probe()
        if self._launcher is None:
            raise SandboxUnavailable(status.reason, status.fix)
        expected = expect(run)
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

    def close(self) -> None:
        """End the fork servers. They end with this process anyway, however it ends; a later run starts new ones."""
        if self._launcher is not None:
            self._launcher.close()

    async def _probe(self) -> SandboxStatus:
        python, warnings = _choose_python(self._python)
        bwrap = _find(self._bwrap or "bwrap")
        if bwrap is None:
            missing = f"bubblewrap is missing ({self._bwrap or 'bwrap'} was not found)."
            return _refuse(missing, install_fix(read_os_release()), warnings)
        try:
            env = await asyncio.to_thread(inspect_python, python)
        except SandboxUnavailable as error:
            return _refuse(error.reason, error.fix, warnings)
        return await self._try_places(bwrap, env, warnings)

    async def _try_places(self, bwrap: str, env: PythonEnv, warnings: list[str]) -> SandboxStatus:
        reason, fix = "", ""
        if self._tier == "full" and not landlock_abi():
            warnings.append(_NO_LANDLOCK)
        tiers: list[SandboxTier] = ["full", "ns-only"] if self._tier == "full" and landlock_abi() else ["ns-only"]
        for tier, privilege in itertools.product(tiers, privileges()):
            place = make_place(bwrap, env, privilege, tier)
            launcher = Launcher(place, Pool(place.argv, self._workers))
            result = await _try_to_escape(launcher)
            if result.passed:
                self._launcher = launcher
                if privilege == "userns" and os.getuid() == 0:
                    warnings.append(_KEPT_IDENTITY)
                if tier != tiers[0]:
                    warnings.append(f"The tier full did not hold here, so ns-only is used: {reason}")
                return SandboxStatus(True, tier, env.executable, env.version, "Isolated.", "", tuple(warnings))
            launcher.close()
            reason, fix = _why_not(result)
        return _refuse(reason, fix, warnings, env)


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


def _why_not(result: SandboxResult) -> tuple[str, str]:
    if result.outcome == "infrastructure":
        return explain(result.stderr)
    failed = next((case for case in result.cases if case.outcome != "passed"), None)
    detail = f" ({failed.id.partition('::')[2]}: {failed.message.splitlines()[0]})" if failed and failed.message else ""
    return f"The walls of the sandbox did not hold: {result.reason}{detail}", "Report this; runs are refused here."


def _not_run(outcome: Outcome, reason: str, place: Place, expected: Expectations) -> SandboxResult:
    return SandboxResult(False, outcome, reason, expected.broken, sandbox_tier=place.tier)


async def _try_to_escape(launcher: Launcher) -> SandboxResult:
    text = Path(__file__).with_name("escapes.py").read_text(encoding="utf-8")
    with _bait(launcher.place) as facts:
        files = {"test_escapes.py": text, "escapes.json": facts}
        run = SandboxRun(files, ("test_escapes.py",), SandboxLimits(timeout_sec=20))
        return await _attempt(launcher, run, expect(run))


@contextlib.contextmanager
def _bait(place: Place) -> Iterator[str]:
    """A file and a listening port that the guest must not reach, and the facts it needs to try."""
    with tempfile.NamedTemporaryFile(prefix="kitty-bait-") as file, socket.create_server(("127.0.0.1", 0)) as server:
        hidden = [file.name, str(Path.home() / ".ssh"), __file__, "/etc/passwd", "/proc/self", "/sys/kernel", "/bin/sh"]
        port = server.getsockname()[1]
        facts = {"hidden": hidden, "port": port, "variables": sorted(ENVIRONMENT), "seccomp": has_filter()}
        yield json.dumps({**facts, "landlock": place.tier == "full"})


async def _attempt(launcher: Launcher, run: SandboxRun, expected: Expectations) -> SandboxResult:
    nonce, control = secrets.token_hex(16), f"test_zz_{secrets.token_hex(6)}.py"
    body = f"def {control.removesuffix('.py')}():\n    assert 1 == 2\n"
    files = {**run.files, control: body}
    fields = {"nonce": nonce, "tests": list(run.tests), "control": control}
    try:
        ending = await launcher.launch("tests", files, run.limits, run.profile, **fields)
    except ZygoteFailed as error:
        reason = "The sandbox could not be started."
        return SandboxResult(False, "infrastructure", reason, sandbox_tier=launcher.place.tier, stderr=str(error))
    own_modules = {path.partition("/")[0].removesuffix(".py") for path in run.files}
    verdict = judge(Evidence(ending.ended, ending.exit_code, ending.report), expected, control, nonce, own_modules)
    return _to_result(ending, verdict, launcher.place.tier)


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
