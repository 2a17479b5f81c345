"""How sure a model's choice between a few labels is. Pure.

Three signs: whether its answers fit the schema, how many of three agree, and by how much the token that tells the
labels apart was likelier than the other label's.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kitty_llm import Token

CONFIDENT = 0.65
"""Two of three votes are enough, unless the first token was nearly a toss of a coin."""


@dataclass(frozen=True)
class Vote:
    """One answer: its label, None where it fits no schema; the margin (0..1) where the server tells it."""

    label: str | None
    margin: float | None = None


@dataclass(frozen=True)
class Belief:
    """What the votes come to."""

    label: str | None
    confidence: float


def believe(votes: Sequence[Vote]) -> Belief:
    """The label most votes are for; the mean of their share and of the first vote's sureness, where that is known."""
    counted = Counter(vote.label for vote in votes if vote.label is not None)
    if not counted:
        return Belief(None, 0.0)
    [(label, count)] = counted.most_common(1)
    share = count / len(votes)
    first = votes[0]
    if first.label != label or first.margin is None:
        return Belief(label, share if len(votes) > 1 else 0.5)
    sureness = 0.5 + first.margin / 2
    return Belief(label, sureness if len(votes) == 1 else (share + sureness) / 2)


def margin(tokens: Sequence[Token], label: str, labels: Sequence[str]) -> float | None:
    """Of the place where `label` begins: its probability less the next label's, of all that goes to any label.

    None where the server told no alternatives there. The labels differ in their first letters.
    """
    text = "".join(token.text for token in tokens)
    begin = text.rfind(f'"{label}"') + 1
    at = 0
    for token in tokens:
        if begin and at <= begin < at + len(token.text):
            return _margin(token, token.text[: begin - at], label, labels)
        at += len(token.text)
    return None


def _margin(token: Token, before: str, label: str, labels: Sequence[str]) -> float | None:
    weights = dict.fromkeys(labels, 0.0)
    for text, logprob in token.alternatives.items():
        rest = text[len(before) :] if text.startswith(before) else ""
        for name in labels:
            if rest and (name.startswith(rest) or rest.startswith(name)):
                weights[name] += math.exp(min(0.0, logprob))
    total = sum(weights.values())
    if not total:
        return None
    others = max(weight for name, weight in weights.items() if name != label)
    return max(0.0, (weights[label] - others) / total)
