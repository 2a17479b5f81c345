"""What is known while one message is answered. Steps return only what changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from brain.door import Offer, Outcome
from brain.prompts import Observation
from brain.question import Question
from kitty_llm import Role

Next = Literal["choose", "invoke", "answer", "end"]


@dataclass(frozen=True)
class Wanted:
    """A call that is to be made."""

    tool: Offer
    arguments: Mapping[str, Any]


class BrainState(TypedDict, total=False):
    """One message on its way."""

    question: Question
    next: Next
    """The step that comes now."""
    role: Role
    """Who is in charge of choices and answers; missing: the role that was asked for, else Q4."""
    offers: tuple[Offer, ...]
    """The tools that may be chosen here."""
    wanted: tuple[Wanted, ...]
    made: tuple[tuple[Wanted, Outcome], ...]
    observations: tuple[Observation, ...]
    unknown: int
    """How often the model named a tool that there is not."""
    stopped: str
    """Why no more tools are called; missing: nothing stopped it."""
    steps: tuple[dict[str, Any], ...]
    """The trace."""
    output: str
    data: Any
    """The result of the tool that was delivered."""
    pending: Mapping[str, Any]
    """The confirmation shape of the call that waits."""
    is_open: bool
    """The output asks back whether code is wanted."""
    is_coding: bool
    tier: str
    confidence: float
    finish_reason: str
