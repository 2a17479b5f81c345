"""The jobs' recorded evidence, completed by what only an evaluation knows: which candidates are right.

With it `kitty-cli eval replay DIR` says what other rules of deciding would have delivered, without a model.
"""

import json
from pathlib import Path
from typing import Any

from kitty_evals.grading import grade
from kitty_evals.tasks import Task
from kitty_sandbox import Sandbox

FOLDER = "evidence"


def environment_for_evidence(folder: Path) -> dict[str, str]:
    """Lets a coder-agent keep the evidence of all its jobs in `folder`."""
    return {"CODER_EVIDENCE_DIR": str((folder / FOLDER).resolve()), "CODER_EVIDENCE_KEPT": "100000"}


async def grade_candidates(sandbox: Sandbox, task: Task, folder: Path, job_id: str | None) -> None:
    """Adds to the evidence of `job_id`, if it is there, whether each candidate passes the hidden tests."""
    path = folder / FOLDER / f"{job_id}.json"
    if job_id is None or not path.is_file():
        return
    evidence: dict[str, Any] = json.loads(path.read_text())
    texts = {str(candidate["code"]) for candidate in evidence["candidates"]}
    right = {text: (await grade(sandbox, task, text)).right for text in sorted(texts)}
    graded = {str(one["index"]): right[one["code"]] for one in evidence["candidates"]}
    evidence["right"] = {index: is_right for index, is_right in graded.items() if is_right is not None}
    evidence["task"] = task.id
    part = path.with_suffix(".part")
    part.write_text(json.dumps(evidence) + "\n")
    part.replace(path)
