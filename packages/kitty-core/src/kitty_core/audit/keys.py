"""The key of the chain: `AUDIT_KEY`, or a file in the state directory that is made when it is first needed."""

import base64
import binascii
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from kitty_core.errors import ConfigurationError
from kitty_core.state import state_dir, write_synced

LEAST_BYTES = 32
HEX = re.compile("[0-9a-fA-F]+")
HOW = "want 32 bytes or more as hex or base64, such as `openssl rand -hex 32` prints"


def audit_key(env: Mapping[str, str], *, make: bool = True) -> bytes:
    """`AUDIT_KEY` in bytes, at least 32; unset: that of the key file, which is made with mode 0600 if `make`.

    Raises:
        ConfigurationError: the variable or the file holds no such key, others may read the file, or there is none.
    """
    given = env.get("AUDIT_KEY", "")
    if given:
        return _decoded(given, "AUDIT_KEY")
    file = key_file()
    try:
        if make and not file.exists():
            _make(file)
        if file.stat().st_mode & 0o077:
            raise ConfigurationError(f"{file}: others may read the audit key; run: chmod 600 {file}")
        return _decoded(file.read_text(), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: the audit key cannot be read ({type(error).__name__}).") from error


def key_file() -> Path:
    """Where the key is without `AUDIT_KEY`."""
    return state_dir() / "audit.key"


def _make(file: Path) -> None:
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}.new")
    try:
        write_synced(draft, secrets.token_hex(LEAST_BYTES) + "\n")
        os.link(draft, file)  # of two that make one at once, one wins and both read that
    except FileExistsError:
        return
    finally:
        draft.unlink(missing_ok=True)


def _decoded(text: str, where: str) -> bytes:
    text = text.strip()
    try:
        key = bytes.fromhex(text) if HEX.fullmatch(text) else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise ConfigurationError(f"{where}: this is no key; {HOW}.") from None
    if len(key) < LEAST_BYTES:
        raise ConfigurationError(f"{where}: the key has {len(key)} bytes; {HOW}.")
    return key
