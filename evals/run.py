"""Run a JSONL task file through a coder-agent and grade the answers with the hidden tests, in the sandbox.

    .venv/bin/python evals/run.py evals/easy.jsonl --base http://127.0.0.1:8092 --model kitty-coder-small

Each line of the file: {"id", "request", "module", "tests": {name: text}}. The solver sees the request alone. Prints a
line a task and the totals; the last line is JSON. Exit code 1 when an answer called verified fails its hidden tests.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import httpx

from kitty_sandbox import BubblewrapSandbox, SandboxRun


async def grade(sandbox: BubblewrapSandbox, task: dict[str, Any], code: str) -> bool:
    """Whether `code` passes the hidden tests."""
    if not code:
        return False
    result = await sandbox.run(SandboxRun(files={task["module"]: code, **task["tests"]}, tests=tuple(task["tests"])))
    return result.passed


async def solve(client: httpx.AsyncClient, task: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """The response for one task; a problem document counts as an answer without code."""
    body = {"request": task["request"], "module": task["module"], "tier": options.tier}
    if options.model:
        body["model"] = options.model
    answer: dict[str, Any] = (await client.post("/api/coding/generate", json=body)).json()
    return answer


async def main() -> int:
    """Run the file; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--base", default="http://127.0.0.1:8092")
    parser.add_argument("--model")
    parser.add_argument("--tier", default="standard")
    parser.add_argument("--every", type=int, default=1, help="take each so-manieth task")
    parser.add_argument("--keep", type=Path, help="write the responses here, one JSON line a task")
    options = parser.parse_args()
    tasks = [json.loads(line) for line in options.file.read_text().splitlines()][:: options.every]
    sandbox = BubblewrapSandbox()
    solved = verified = wrong = tokens = 0
    seconds = 0.0
    kept: list[str] = []
    async with httpx.AsyncClient(base_url=options.base, timeout=None, trust_env=False) as client:
        for task in tasks:
            answer = await solve(client, task, options)
            is_right = await grade(sandbox, task, answer.get("code", ""))
            is_verified = answer.get("verdict") == "verified"
            usage = answer.get("usage", {})
            tokens += usage.get("prefill_tokens", 0) + usage.get("completion_tokens", 0)
            seconds += usage.get("total_seconds", 0.0)
            solved, verified, wrong = solved + is_right, verified + is_verified, wrong + (is_verified and not is_right)
            facts = answer.get("evidence", {})
            print(
                f"{task['id']:32} {answer.get('verdict', answer.get('code'))!s:14} right={is_right!s:5} "
                f"calls={usage.get('calls')} t={usage.get('total_seconds', 0):5.1f}s cand={facts.get('candidates')} "
                f"ex={facts.get('examples')} gen={facts.get('generated_tests')}/{facts.get('generated_written')} "
                f"conf={answer.get('confidence')}",
                flush=True,
            )
            kept.append(json.dumps({"task": task["id"], "right": is_right, "answer": answer}) + "\n")
            if options.keep:
                options.keep.write_text("".join(kept))
    print(
        json.dumps(
            {
                "tasks": len(tasks),
                "solved": solved,
                "verified": verified,
                "verified_but_wrong": wrong,
                "tokens_per_task": round(tokens / len(tasks)),
                "seconds_per_task": round(seconds / len(tasks), 1),
            }
        )
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
