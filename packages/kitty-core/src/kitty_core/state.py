"""Files that KITTY keeps for itself: the XDG state directory, and writing that survives a crash."""

import os
from pathlib import Path

import platformdirs

FOR_ONE_USER = 0o600


def state_dir() -> Path:
    """`$XDG_STATE_HOME/kitty`, made for this user alone."""
    folder = Path(platformdirs.user_state_dir("kitty", appauthor=False))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def write_durably(path: Path, text: str) -> None:
    """Puts `text` in place of `path`: a reader sees the old file or the new one, and the new one outlives a crash.

    The file is for this user alone. Raises: OSError.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        write_synced(draft, text)
        os.replace(draft, path)
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def write_synced(path: Path, text: str) -> None:
    """Writes a file for this user alone, down to the disk. Raises: OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FOR_ONE_USER)
    with os.fdopen(handle, "wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Makes names that were added to or removed from `folder` outlive a crash."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
