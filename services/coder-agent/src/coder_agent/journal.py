"""Where the evidence of finished jobs is kept: a folder of this user's alone, one file a job, the newest so many."""

import contextlib
import json
import os
from pathlib import Path

import structlog

from coder_agent.recording import Recording, to_json
from kitty_core.state import state_dir

log = structlog.get_logger()


class Journal:
    """Keeps recordings in `folder`; keeps nothing where that is None."""

    def __init__(self, folder: Path | None, keep: int) -> None:
        self._folder = folder
        self._keep = keep

    def save(self, recording: Recording) -> None:
        """Write it and let the oldest go. A folder that cannot be written costs a warning, never the job."""
        if self._folder is None:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._folder / f"{recording.job_id}.json"
            part = path.with_suffix(".part")
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(json.dumps(to_json(recording)) + "\n")
            part.replace(path)
            self._prune()
        except OSError as error:
            log.warning("evidence_not_kept", reason=str(error))

    def _prune(self) -> None:
        assert self._folder is not None, "save() looked"
        files = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in files[: max(0, len(files) - self._keep)]:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def folder_of(named: str, usual: str) -> Path | None:
    """`named`, or for "" the folder `usual` of the state directory; None for "off"."""
    if named == "off":
        return None
    return Path(named) if named else state_dir() / usual
