"""What `up` left running, on record: who supervises, and each program with its process, address, log and state."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from kitty_cli.detached import process_of
from kitty_cli.state import write_atomically
from kitty_core.state import state_dir

FAILED = "failed"
"""How the state of a program begins that did not come up."""


@dataclass(frozen=True)
class ProgramRecord:
    """One program of the stack."""

    name: str
    pid: int
    created: float
    """When the process began, seconds since the epoch: with the pid it names one process."""
    base_url: str
    log: str | None
    state: str
    """starting, running, failed (and how), stopped, or how it ended and when it starts again."""
    restarts: int

    @property
    def runs(self) -> bool:
        """Whether that very process still runs."""
        return process_of(self.pid, self.created) is not None


@dataclass(frozen=True)
class StackRecord:
    """The supervisor and its programs."""

    pid: int
    created: float
    programs: tuple[ProgramRecord, ...]
    workspace: str = ""
    """The folders that the broker's commands may work in, separated by `:`."""
    bind: str = ""
    """The address the gateway listens on."""

    @property
    def is_supervised(self) -> bool:
        return process_of(self.pid, self.created) is not None

    @property
    def is_left(self) -> bool:
        """Whether anything of it still runs."""
        return self.is_supervised or any(program.runs for program in self.programs)

    @property
    def gateway(self) -> str | None:
        """The address of the stack's door."""
        return next((program.base_url for program in self.programs if program.name == "gateway"), None)

    @property
    def is_ready(self) -> bool:
        return bool(self.programs) and all(program.state == "running" for program in self.programs)


def stack_file() -> Path:
    return state_dir() / "stack.json"


def log_of(name: str) -> Path:
    folder = state_dir() / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{name}.log"


def read_stack() -> StackRecord | None:
    """The record, or None where there is none that can be understood."""
    try:
        document = json.loads(stack_file().read_text(encoding="utf-8"))
        programs = tuple(ProgramRecord(**program) for program in document.pop("programs"))
        return StackRecord(**document, programs=programs)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def gateway_of(record: StackRecord | None) -> str | None:
    """The address of the stack's gateway, where one is supervised."""
    return record.gateway if record is not None and record.is_supervised else None


def write_stack(record: StackRecord) -> None:
    write_atomically(stack_file(), json.dumps(asdict(record), indent=2) + "\n", mode=0o600)
