"""`--out DIR`: the module and its tests as files. Whole files only; a different file of that name is kept as `.bak`."""

import os
from collections.abc import Mapping
from pathlib import Path

from kitty_cli.errors import NotConfigured, UsageProblem
from kitty_cli.state import write_atomically


def plain_module(name: str) -> str:
    """`fib` or `fib.py` → `fib.py`.

    Raises:
        UsageProblem: it is no name of a Python module.
    """
    stem = name.removesuffix(".py")
    if not stem.isidentifier() or not stem.isascii():
        raise UsageProblem(f"--module {name}: write a plain module name such as solution.py.")
    return f"{stem}.py"


def prepare_folder(folder: Path) -> None:
    """Makes the folder, so that a mistake shows before the work and not after it.

    Raises:
        UsageProblem: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageProblem(f"--out {folder}: {error.strerror}.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageProblem(f"--out {folder}: nothing can be written there.")


def save_files(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Writes each plain name with its text; returns a sentence for each.

    Raises:
        NotConfigured: a file cannot be written.
    """
    try:
        return [_save(folder / name, text.rstrip("\n") + "\n") for name, text in files.items()]
    except OSError as error:
        raise NotConfigured(f"{error.filename or folder} cannot be written: {error.strerror}.") from error


def _save(path: Path, text: str) -> str:
    kept = ""
    if path.is_symlink() or path.exists():
        old = path.read_bytes()
        if old == text.encode():
            return f"{path} is unchanged."
        backup = _free_backup(path)
        backup.write_bytes(old)
        kept = f" What was there is now {backup.name}."
    write_atomically(path, text)
    return f"Wrote {path}.{kept}"


def _free_backup(path: Path) -> Path:
    """`NAME.bak`, or `NAME.bak2`, … where that is taken."""
    backup, number = path.with_name(f"{path.name}.bak"), 2
    while backup.exists() or backup.is_symlink():
        backup, number = path.with_name(f"{path.name}.bak{number}"), number + 1
    return backup
