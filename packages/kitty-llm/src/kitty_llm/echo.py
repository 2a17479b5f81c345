"""Text that arrives a second time and is passed on once."""


class EchoStripper:
    """Takes one leading copy of `expected` out of a text that comes in pieces."""

    def __init__(self, expected: str) -> None:
        self._expected = expected
        self._held = ""

    def feed(self, piece: str) -> str:
        """What may be passed on now; pieces are held back while they could still be the echo."""
        if not self._expected:
            return piece
        self._held += piece
        if len(self._held) < len(self._expected) and self._expected.startswith(self._held):
            return ""
        passed = self._held.removeprefix(self._expected)
        self._expected = self._held = ""
        return passed

    def close(self) -> str:
        """What was held back and turned out to be text: half an echo is the answer's own."""
        held, self._held, self._expected = self._held, "", ""
        return held


class Replay:
    """Passes a retried answer on without repeating what the first attempt has delivered.

    Where the second attempt differs, the difference is passed on: the listener shows progress, the
    completion carries the text that counts.
    """

    def __init__(self) -> None:
        self._delivered = ""
        self._again = ""

    def restart(self) -> None:
        self._again = ""

    def feed(self, piece: str) -> str:
        """The part of `piece` that was not delivered before."""
        before = len(self._again)
        self._again += piece
        if self._delivered.startswith(self._again):
            return ""
        shared = len(self._delivered) if self._again.startswith(self._delivered) else before
        fresh = self._again[max(before, shared) :]
        self._delivered = self._again
        return fresh
