"""An answer as it streams, without the thoughts it begins with."""

MARKS = ("<think>", "<thinking>")
ENDS = ("</think>", "</thinking>")


class SpokenStream:
    """feed(piece) gives what of it may be shown; while it is open whether the answer begins with a thought, nothing."""

    def __init__(self) -> None:
        self._held = ""
        self._is_open = True
        self._skips_space = False

    def feed(self, piece: str) -> str:
        """The part that is no thought."""
        if not self._is_open:
            return self._shown(piece)
        self._held += piece
        begun = self._held.lstrip()
        if begun.startswith(MARKS):
            return self._after_the_thought()
        if any(mark.startswith(begun) for mark in MARKS):
            return ""
        return self._release(self._held)

    def close(self) -> str:
        """What was held back and turned out to be no thought."""
        held = "" if self._held.lstrip().startswith(MARKS) else self._held
        self._held = ""
        return held if self._is_open else ""

    def _after_the_thought(self) -> str:
        ends = [self._held.find(end) + len(end) for end in ENDS if end in self._held]
        if not ends:
            return ""
        self._skips_space = True
        return self._release(self._shown(self._held[min(ends) :]))

    def _shown(self, text: str) -> str:
        """Without the space between a thought and the answer."""
        text = text.lstrip() if self._skips_space else text
        self._skips_space = self._skips_space and not text
        return text

    def _release(self, text: str) -> str:
        self._is_open = False
        return text
