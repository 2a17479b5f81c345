"""The token that the services of one machine know each other by.

KITTY_SERVICE_TOKEN, where it is set; else the file `service-token` in the XDG state directory, made by whoever comes
first, readable by its user alone. It keeps other users of the machine and pages in a browser out; it does not keep out
a program of the same user, who can read the file.
"""

import os
import secrets
import stat
from pathlib import Path

from kitty_core.errors import ConfigurationError
from kitty_core.state import state_dir

FILE_NAME = "service-token"
LEAST_CHARACTERS = 20
"""Of the token in the file."""
LEAST_CONFIGURED = 16
"""Of KITTY_SERVICE_TOKEN, where other machines can try one after the other."""


def is_short(token: str) -> bool:
    """Whether a token can be guessed by trying: services that other machines reach do not start with it."""
    return len(token.strip()) < LEAST_CONFIGURED


def service_token(configured: str | None, folder: Path | None = None) -> str:
    """The token every service of this user shares.

    Args:
        configured: the value of KITTY_SERVICE_TOKEN; None or empty: the file is read, or made.
        folder: where the file lies; None: `$XDG_STATE_HOME/kitty`.

    Raises:
        ConfigurationError: the file belongs to another user, can be read by others, or holds no token.
    """
    if configured:
        return configured
    place = folder or state_dir()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = place / FILE_NAME
    if not os.path.lexists(file):
        _make(file)
    return _read(file)


def _make(file: Path) -> None:
    """Whole or not at all, and the first one stays: two services that start at once end up with one token."""
    draft = file.with_name(f".{FILE_NAME}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as written:
            written.write(secrets.token_urlsafe(32) + "\n")
            written.flush()
            os.fsync(written.fileno())
        os.link(draft, file)
    except FileExistsError:
        return
    finally:
        draft.unlink()


def _read(file: Path) -> str:
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from error
    with os.fdopen(handle, encoding="ascii", errors="replace") as opened:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise ConfigurationError(f"{file} is not a file of this user; remove it.")
        if found.st_mode & 0o077:
            raise ConfigurationError(f"{file} can be read by others; remove it (a new token is made).")
        token = opened.read(1000).strip()
    if len(token) < LEAST_CHARACTERS or not token.isascii() or not token.isprintable():
        raise ConfigurationError(f"{file} holds no token; remove it (a new one is made).")
    return token
