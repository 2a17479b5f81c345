"""The end of a log file, for the message that says why a program did not come up."""

from pathlib import Path

LINES = 15
KEPT_BYTES = 4 * 1024**2


def fresh(log: Path) -> Path:
    """The log file, made for this user alone; a long one is put aside."""
    if log.exists() and log.stat().st_size > KEPT_BYTES:
        log.replace(log.with_name(f"{log.name}.old"))
    log.touch(mode=0o600)
    return log


def size_of(log: Path) -> int:
    """Bytes it has; 0 where it is not there."""
    return log.stat().st_size if log.exists() else 0


def tail_of(log: Path, start: int) -> str:
    """The last lines after byte `start`, as the end of a sentence. One that began anew since is read from there."""
    with log.open("rb") as file:
        file.seek(start if start <= size_of(log) else 0)
        lines = file.read().decode(errors="replace").splitlines()[-LINES:]
    return f" It said last ({log}):\n" + "\n".join(lines) if lines else f" It said nothing ({log})."
