"""One message and all that is known when work on it begins."""

from dataclasses import dataclass, field
from typing import Literal

from brain.clarification import Choice
from brain.door import Caller, Offers
from brain.history import Exchange
from kitty_llm import Role

ToolMode = Literal["auto", "on", "off"]


@dataclass(frozen=True)
class Question:
    """What a person said, where, and how it is to be answered."""

    text: str
    """As the person wrote it."""
    request: str
    """`text` without the directives at its head; otherwise byte for byte."""
    caller: Caller
    conversation_id: str
    tool: str | None = None
    """The tool a directive names."""
    is_ordered: bool = False
    """The message begins with `/agent on`."""
    tool_mode: ToolMode = "auto"
    role: Role | None = None
    """The role that has to answer; None: the usual one."""
    model: str | None = None
    """The alias that has to answer, and to write the code; None: the usual one."""
    verbosity: int | None = None
    settled: Choice | None = None
    """What the person answered to the question back; the request is then what was said before it."""
    history: tuple[Exchange, ...] = ()
    offers: Offers = field(default_factory=Offers)
    no_tools_because: str | None = None
    """Why the gateway's tools are not known."""

    @property
    def last_turn_was_coding(self) -> bool:
        """Whether code was asked for just before."""
        return bool(self.history) and self.history[-1].is_coding
