"""`python -m kitty_sandbox run [--json] [--timeout S] [--profile pure|proc] SOLUTION TESTS`

Runs the pytest file TESTS beside the module SOLUTION in the sandbox. SANDBOX_PY_PATH names the interpreter inside,
SANDBOX_TIER the isolation wanted.
Exit codes: 0 passed · 1 not passed · 2 usage · 3 no sandbox (or it failed) · 130 interrupted.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import cast, get_args

from kitty_sandbox import BubblewrapSandbox, InvalidSandboxRun, SandboxLimits, SandboxResult, SandboxRun
from kitty_sandbox.errors import SandboxUnavailable
from kitty_sandbox.packages import package_hint
from kitty_sandbox.port import Profile, SandboxTier


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m kitty_sandbox", description="Run untrusted Python with pytest.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the tests in TESTS against SOLUTION")
    run.add_argument("--json", action="store_true", help="print the whole result as JSON")
    run.add_argument("--timeout", type=float, default=SandboxLimits.timeout_sec, metavar="S", help="default 20")
    run.add_argument(
        "--profile", choices=get_args(Profile), default="pure", help="proc: processes and programs may be started"
    )
    run.add_argument("solution", type=Path, metavar="SOLUTION")
    run.add_argument("tests", type=Path, metavar="TESTS")
    options = parser.parse_args(arguments)
    try:
        request = _read_run(options.solution, options.tests, options.timeout, options.profile)
        tier = _read_tier()
    except (OSError, UnicodeDecodeError, InvalidSandboxRun) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        sandbox = BubblewrapSandbox(python=os.environ.get("SANDBOX_PY_PATH"), tier=tier)
        result = asyncio.run(sandbox.run(request))
    except SandboxUnavailable as error:
        print(error, file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    print(json.dumps(_to_document(result), indent=2) if options.json else _to_text(result))
    return 0 if result.passed else 3 if result.outcome == "infrastructure" else 1


def _read_run(solution: Path, tests: Path, timeout_sec: float, profile: Profile) -> SandboxRun:
    if solution.name == tests.name:
        raise InvalidSandboxRun("SOLUTION and TESTS must have different names.")
    files = {path.name: path.read_text(encoding="utf-8") for path in (solution, tests)}
    return SandboxRun(files, (tests.name,), SandboxLimits(timeout_sec=timeout_sec), profile)


def _read_tier() -> SandboxTier:
    wanted = os.environ.get("SANDBOX_TIER", "full").lower()
    for tier in get_args(SandboxTier):
        if tier == wanted:
            return cast(SandboxTier, tier)
    raise InvalidSandboxRun(f"SANDBOX_TIER must be one of {', '.join(get_args(SandboxTier))}, not {wanted!r}.")


def _to_document(result: SandboxResult) -> dict[str, object]:
    document = dataclasses.asdict(result)
    first = {"passed": document.pop("passed"), "outcome": document.pop("outcome"), "tests": document.pop("cases")}
    return {**first, **document}


def _to_text(result: SandboxResult) -> str:
    lines = [f"{result.outcome}: {result.reason}"]
    for case in result.cases:
        lines.append(f"  {case.outcome:8} {case.id}")
        if case.outcome != "passed":
            lines += [f"           {line}" for line in case.message.splitlines()]
    lines += [f"To add {name}:\n{package_hint(name)}" for name in result.missing_modules]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
