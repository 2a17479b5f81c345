"""What is to be done, and whether a folder with records may hold it: a folder is of one task file, tier and model.

Which of the file's tasks are chosen, and whether the raw model is compared, may differ each time: a record names its
task and arm, so none is done twice, and the report is of all that is on record.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kitty_evals.errors import UsageProblem
from kitty_evals.progress import printable
from kitty_evals.records import ArmName, Record, RecordFile
from kitty_evals.target import Target
from kitty_evals.tasks import Task


@dataclass(frozen=True)
class Evaluation:
    """One run."""

    file: Path
    tasks_of_file: tuple[Task, ...]
    tasks: tuple[Task, ...]
    """Those that are to be solved."""
    target: Target
    arms: tuple[ArmName, ...]
    folder: Path
    resume: bool


def records_to_go_on_with(evaluation: Evaluation, file: RecordFile) -> list[Record]:
    """What `file` holds already and this run may add to.

    Raises:
        UsageProblem: it is of another tier, model or task file, which the message names; or nobody said `--resume`.
    """
    records, folder = file.read(), evaluation.folder
    difference = next(_differences(evaluation, records), None)
    if difference:
        raise UsageProblem(
            printable(f"{folder} holds records of {difference}. Nothing was changed; --out DIR writes elsewhere.")
        )
    if not file.is_empty and not evaluation.resume:
        raise UsageProblem(
            f"{file.path} holds records already ({len(records)}, of this file, tier and model). --resume goes on where "
            "they end; --out DIR begins anew elsewhere."
        )
    return records


def _differences(evaluation: Evaluation, records: Sequence[Record]) -> Iterator[str]:
    """In words that follow "records of", and name both."""
    target, file = evaluation.target, evaluation.file
    tasks = {task.id: task for task in evaluation.tasks_of_file}
    for record in records:
        if record.tier not in (None, target.tier):
            yield f"tier {record.tier}; this run is of tier {target.tier}"
        if record.model != target.name:
            yield f"model {record.model}; this run is of model {target.name}"
        if record.model_sha256 and target.sha256 not in (None, record.model_sha256):
            yield f"another {target.name} (SHA-256 {record.model_sha256}; it is {target.sha256} now)"
    for record in records:
        theirs = record.file or "another file"
        if record.task not in tasks:
            yield f"{theirs}; {file} has no task {record.task!r}"
        elif record.task_sha256 not in (None, tasks[record.task].sha256):
            yield f"{theirs} with another task {record.task!r} than {file} has now"
