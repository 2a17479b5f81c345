"""What each conversation came to: a folder of this user's alone, one small file a conversation, the newest so many.

A conversation belongs to one user: another user's with the same name is another conversation.
"""

import ast
import contextlib
import hashlib
import json
import os
import secrets
from dataclasses import asdict
from pathlib import Path

import structlog

from coder_agent.state import Earlier

log = structlog.get_logger()


class Conversations:
    """Remembers in `folder`; remembers nothing where that is None."""

    def __init__(self, folder: Path | None, keep: int) -> None:
        self._folder = folder
        self._keep = keep

    def recall(self, user_id: str | None, conversation_id: str | None) -> Earlier | None:
        """What it came to so far; None where there is nothing, or nothing that can be read."""
        path = self._path(user_id, conversation_id)
        if path is None or not path.exists():
            return None
        try:
            return _read(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError, SyntaxError) as error:
            log.warning("conversation_not_read", reason=str(error))
            return None

    def remember(self, user_id: str | None, conversation_id: str | None, earlier: Earlier) -> None:
        """Write it and let the oldest go. A folder that cannot be written costs a warning, never the job."""
        path = self._path(user_id, conversation_id)
        if path is None:
            return
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(path, json.dumps(asdict(earlier)) + "\n")
            self._prune(path.parent)
        except OSError as error:
            log.warning("conversation_not_kept", reason=str(error))

    def _path(self, user_id: str | None, conversation_id: str | None) -> Path | None:
        if self._folder is None or not conversation_id:
            return None
        name = json.dumps([user_id or "", conversation_id]).encode()
        return self._folder / f"{hashlib.sha256(name).hexdigest()}.json"

    def _prune(self, folder: Path) -> None:
        files = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in files[: max(0, len(files) - self._keep)]:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def _read(text: str) -> Earlier:
    """Raises: ValueError, TypeError, SyntaxError: it is no conversation."""
    earlier = Earlier(**json.loads(text))
    ast.parse(earlier.code)
    texts = (earlier.request, earlier.module, earlier.caller_tests or "")
    if not all(isinstance(one, str) for one in texts):
        raise ValueError("a field is no text")
    return earlier


def _write(path: Path, text: str) -> None:
    """Whole or not at all, also where two jobs of one conversation end at once."""
    part = path.with_suffix(f".{secrets.token_hex(8)}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
