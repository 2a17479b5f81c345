"""Is this message a wish for code? Rules only; where they do not know, the model is asked (`deciding`). Pure.

score = sum of the cues found ─┬─ >=  CODING ─> coding
                               ├─ <=  TALK ───> talk
                               └─ between ────> unsure
"""

from dataclasses import dataclass
from typing import Literal

from brain.cues import CUES

Kind = Literal["coding", "talk", "unsure"]
CODING = 2.0
TALK = -2.0
FOLLOW_UP = 2.5
"""What a short message gains that comes right after code was asked for: "now handle negatives"."""
MOST_OF_A_FOLLOW_UP = 160
MOST_READ = 4000
"""Characters: the wish stands at the head or at the end of a long message."""


@dataclass(frozen=True)
class Route:
    """Where a message goes, how sure that is (0..1), and why."""

    kind: Kind
    confidence: float
    score: float
    cues: tuple[str, ...]


def route(text: str, *, last_turn_was_coding: bool = False) -> Route:
    """What the rules say of `text`, which is what the person wrote, without directives."""
    read = text if len(text) <= MOST_READ else f"{text[: MOST_READ // 2]}\n{text[-MOST_READ // 2 :]}"
    found = [(cue.name, cue.weight) for cue in CUES if cue.pattern.search(read)]
    if last_turn_was_coding and len(text) <= MOST_OF_A_FOLLOW_UP and not _is_question(text):
        found.append(("follow-up", FOLLOW_UP))
    score = sum(weight for _, weight in found)
    kind: Kind = "coding" if score >= CODING else "talk" if score <= TALK else "unsure"
    return Route(kind, _confidence(score), score, tuple(name for name, _ in found))


def _is_question(text: str) -> bool:
    return text.rstrip().endswith(("?", "？")) and not text.lower().lstrip().startswith(("can you", "could you"))


def _confidence(score: float) -> float:
    """0.5 at no score, 0.85 where a rule decides, and nearer to 1 the more of them do."""
    doubt: float = 0.5 * 0.3 ** (abs(score) / CODING)
    return round(1 - doubt, 3)
