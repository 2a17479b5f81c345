"""Answers in words, for the very same words said again.

The key is the model, the tools there are (their digest), the user, how it was asked for, and the text, normalised:
equal numbers, identifiers and negations follow, because everything but space is equal. Nothing is looked up by
similarity (docs/decisions/0016-brain.md). What came from a tool, was code, or has a history is never put in.
"""

import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """What has to be equal."""

    model: str
    digest: str
    user_id: str
    manner: str
    """Verbosity and what else changes an answer."""
    text: str


def normalised(text: str) -> str:
    """`text` in NFC without space around it; on a single line runs of space count as one, in code they may matter."""
    text = unicodedata.normalize("NFC", text).strip()
    return text if "\n" in text or "`" in text else " ".join(text.split())


class AnswerCache:
    """Bounded in entries and in time."""

    def __init__(self, most: int, keep_sec: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._keep_sec = keep_sec
        self._clock = clock
        self._kept: OrderedDict[Key, tuple[float, str]] = OrderedDict()

    def find(self, key: Key) -> str | None:
        """The answer, while it is kept."""
        at, answer = self._kept.get(key, (0.0, None))
        if answer is None or self._clock() - at > self._keep_sec:
            self._kept.pop(key, None)
            return None
        self._kept.move_to_end(key)
        return answer

    def put(self, key: Key, answer: str) -> None:
        """Keep it; the one used least lately goes when there are too many."""
        self._kept[key] = (self._clock(), answer)
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
