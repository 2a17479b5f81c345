"""The override word, said in a message to the brain: it counts for one call that the brain makes for that message.

The word itself goes no further than the gateway. What it stops: a word of yesterday, of another person, or out of a
history. What it does not stop: the model's choice of the one call it is used for.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class Overrides:
    """Messages that held the word and are being answered, in memory."""

    def __init__(self) -> None:
        self._given: set[tuple[str, str]] = set()

    @contextmanager
    def given(self, request_id: str, user_id: str) -> Iterator[None]:
        """It counts for calls under this request id, by this user, until the block ends or one has used it."""
        key = (request_id, user_id)
        self._given.add(key)
        try:
            yield
        finally:
            self._given.discard(key)

    def take(self, request_id: str, user_id: str) -> bool:
        """Whether a call may use it; from then on no other may."""
        key = (request_id, user_id)
        is_there = key in self._given
        self._given.discard(key)
        return is_there
