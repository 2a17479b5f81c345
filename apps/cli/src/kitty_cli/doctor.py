"""`kitty-cli doctor`: would `code` work now? It looks, and runs one trivial test in the sandbox."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kitty_cli.command_name import command_name
from kitty_cli.exit_codes import ExitCode
from kitty_cli.render import write_json
from kitty_cli.running import describe_services, service_line
from kitty_cli.stack import describe_stack
from kitty_cli.state import log_file
from kitty_core.settings import environment
from kitty_core.state import state_dir
from kitty_models.doctor import DoctorReport
from kitty_models.doctor import examine as examine_models

SANDBOX_WITHIN_SEC = 60


def examine(as_json: bool) -> ExitCode:
    """Exit status: 0 ready · 3 the sandbox or the engine cannot run · 4 no model is there."""
    env = environment()
    models, sandbox = asyncio.run(examine_models(env)), check_sandbox(env)
    problems = find_problems(models, sandbox)
    status = problems[0][0] if problems else ExitCode.VERIFIED
    document = {
        "ready": not problems,
        "problems": [{"exit_code": int(code), "what": what} for code, what in problems],
        "models": models.to_dict(),
        "sandbox": sandbox,
        "services": describe_services(describe_stack()),
        "files": {"state": str(state_dir()), "log": str(log_file()), "models": str(models.model_dir)},
        "python": sys.executable,
    }
    if as_json:
        write_json(document)
    else:
        _print(models, document)
    return status


def find_problems(models: DoctorReport, sandbox: Mapping[str, Any]) -> list[tuple[ExitCode, str]]:
    """What keeps `code` from working, the gravest first, each with its fix."""
    problems = []
    if not sandbox["works"] and sandbox["enabled"]:
        problems.append((ExitCode.CONFIGURATION, f"The sandbox does not work: {sandbox['reason']}"))
    if models.ready:
        return problems
    named = any(backend.explicit for backend in models.backends)
    if models.engine_problems and not named:
        problems.append((ExitCode.CONFIGURATION, " ".join(map(str, models.engine_problems))))
    else:
        fix = (
            "Start that server, or unset LLAMACPP_*."
            if named
            else f"Run `{command_name()} models pull {models.default}` (or just `code`, which does it)."
        )
        problems.append((ExitCode.NO_MODEL, f"{models.default}: {models.default_reason}. {fix}"))
    return problems


def check_sandbox(env: Mapping[str, str]) -> dict[str, Any]:
    """Runs one trivial test in the sandbox, as a program of its own."""
    enabled = env.get("SANDBOX_ENABLED", "true").strip().lower() not in ("false", "0", "no", "off")
    with tempfile.TemporaryDirectory(prefix="kitty-doctor-") as folder:
        module, tests = Path(folder, "solution.py"), Path(folder, "test_solution.py")
        module.write_text("def one():\n    return 1\n", encoding="utf-8")
        tests.write_text("from solution import one\n\n\ndef test_one():\n    assert one() == 1\n", encoding="utf-8")
        command = [sys.executable, "-P", "-m", "kitty_sandbox", "run", "--json", str(module), str(tests)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=SANDBOX_WITHIN_SEC, env=dict(env), check=False
            )
        except subprocess.TimeoutExpired:
            return {"works": False, "enabled": enabled, "reason": f"no answer within {SANDBOX_WITHIN_SEC} s"}
    return {"works": done.returncode == 0, "enabled": enabled} | _judge(done)


def _judge(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    try:
        report = json.loads(done.stdout)
    except ValueError:
        report = {}
    said = [line for line in done.stderr.strip().splitlines() if line]
    reason = "" if done.returncode == 0 else report.get("reason") or (said[-1] if said else "it said nothing")
    return {
        "reason": reason,
        "sandbox_tier": report.get("sandbox_tier"),
        "verdict_strength": report.get("verdict_strength"),
        "seconds": report.get("seconds"),
    }


def _print(models: DoctorReport, document: Mapping[str, Any]) -> None:
    machine, sandbox = models.machine, document["sandbox"]
    gib = 1024**3
    memory = f"{machine.available_bytes / gib:.1f} of {machine.total_bytes / gib:.1f} GiB of memory available"
    print(f"machine   {machine.cores} cores ({machine.architecture}), {memory}")
    print(f"model     {models.default}: {models.default_reason}")
    for backend in models.backends:
        report = backend.report.to_dict()
        state = "answers" if backend.report.reachable else "does not answer"
        kind = report.get("kind") or report.get("server") or ""
        print(f"server    {backend.report.base_url} ({', '.join(backend.roles)}): {state} {kind}".rstrip())
    for model in models.models:
        print(f"file      {model.alias or model.path.name}: {model.size_bytes / 1e6:,.0f} MB, from {model.source}")
    tier = sandbox.get("sandbox_tier") or ""
    off = "" if sandbox["enabled"] else " (switched off by SANDBOX_ENABLED: nothing is executed)"
    print(f"sandbox   {'works' if sandbox['works'] else 'does not work: ' + sandbox['reason']} {tier}{off}".rstrip())
    for service in document["services"]:
        print(f"service   {service_line(service)}")
    for name, place in document["files"].items():
        print(f"{name:<9} {place}")
    print(f"python    {document['python']}{'' if os.name == 'posix' else ' (the sandbox needs Linux)'}")
    print()
    print("Ready." if document["ready"] else "Not ready:")
    for problem in document["problems"]:
        print(f"- {problem['what']}")
