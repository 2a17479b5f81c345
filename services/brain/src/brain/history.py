"""What was said before, by user and conversation, in memory.

Kept are the newest exchanges. What does not fit the model's window is left out from the oldest end, whole exchanges at
a time and never the middle of one. Nothing here decides anything: no confirmation and no override is ever read out
of it.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from kitty_llm.budget import estimate


@dataclass(frozen=True)
class Exchange:
    """One message and its answer."""

    user: str
    assistant: str
    is_coding: bool = False
    is_open: bool = False
    """The answer asked back whether code is wanted: what the user said still waits."""
    model: str | None = None
    """The alias it was said to."""


class Histories:
    """The conversations; the one used least lately goes first when there are too many."""

    def __init__(self, most_conversations: int, most_exchanges: int) -> None:
        self._most_conversations = most_conversations
        self._most_exchanges = most_exchanges
        self._kept: OrderedDict[tuple[str, str], tuple[Exchange, ...]] = OrderedDict()

    def of(self, user_id: str, conversation_id: str) -> tuple[Exchange, ...]:
        """What is remembered, oldest first; another user's conversation of the same name is another one."""
        return self._kept.get((user_id, conversation_id), ())

    def add(self, user_id: str, conversation_id: str, exchange: Exchange) -> None:
        """Remember one more."""
        key = (user_id, conversation_id)
        if self._most_exchanges:
            self._kept[key] = (*self._kept.pop(key, ()), exchange)[-self._most_exchanges :]
        while len(self._kept) > self._most_conversations:
            self._kept.popitem(last=False)


def newest(exchanges: Sequence[Exchange], tokens_over: int) -> tuple[Exchange, ...]:
    """`exchanges` without the oldest, as many as it takes to save about `tokens_over` tokens; at least one goes."""
    saved = 0
    for count, exchange in enumerate(exchanges, start=1):
        saved += estimate(exchange.user + exchange.assistant)
        if saved >= tokens_over:
            return tuple(exchanges[count:])
    return ()
