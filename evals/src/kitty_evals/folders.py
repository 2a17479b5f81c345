"""Where an evaluation keeps its files: a folder a run, below the state directory that the command line uses too."""

import re
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from kitty_evals.arms import Run
from kitty_evals.records import FILE_NAME, read_records

ODD = re.compile(r"[^\w.-]+", re.ASCII)


def evals_dir() -> Path:
    """`$XDG_STATE_HOME/kitty/evals`, made for this user alone."""
    state = Path(platformdirs.user_state_dir("kitty", appauthor=False))
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return state / "evals"


def run_dir(tasks: Path, model: str, tier: str) -> Path:
    """The folder of a run that named none."""
    return evals_dir() / "-".join(ODD.sub("_", part).strip(".") or "_" for part in (tasks.stem, model, tier))


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """The records of each folder, by the folder's name.

    Raises:
        UsageProblem: a folder holds no records that can be read.
    """
    return [(folder.resolve().name, read_records(folder / FILE_NAME)) for folder in folders]
