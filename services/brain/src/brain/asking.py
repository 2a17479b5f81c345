"""Asking the model within its window, and asking it which way a message goes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from brain.confidence import CONFIDENT, Belief, Vote, believe, margin
from brain.decoding import route_schema
from brain.history import Exchange, newest
from brain.means import Means
from brain.prompts import LABELS, route_prompt
from brain.relaxed_json import read_value
from kitty_llm import Completion, ContextOverflow, Prompt, Role, Sampling

VOTES = 3
LATER_TEMPERATURE = 0.8
ALTERNATIVES = 8
MOST_OF_A_LABEL = 24

Build = Callable[[Sequence[Exchange], bool], Prompt]
"""A prompt with so much of the history; the flag: some of it was left out."""


async def ask_within(
    means: Means,
    role: Role,
    build: Build,
    history: Sequence[Exchange],
    sampling: Sampling,
    on_delta: Callable[[str], None] | None = None,
) -> tuple[Completion, int]:
    """The answer, and how many of the oldest exchanges had to be left out so that it has its room in the window.

    Raises:
        ContextOverflow: it does not fit without any history either.
    """
    kept = tuple(history)
    while True:
        roomy = replace(sampling, least_tokens=sampling.max_tokens if kept else Sampling().least_tokens)
        try:
            prompt = build(kept, len(kept) < len(history))
            return await means.writer.complete(role, prompt, roomy, on_delta), len(history) - len(kept)
        except ContextOverflow as overflow:
            if not kept:
                raise
            kept = newest(kept, overflow.tokens_over)


@dataclass(frozen=True)
class Opinion:
    """What the model takes a message for; no label: it could not be made out."""

    label: str | None
    confidence: float
    role: Role
    """Whose server said so."""
    votes: int

    @property
    def is_firm(self) -> bool:
        """Whether it can be acted on."""
        return self.label is not None and self.confidence >= CONFIDENT


async def ask_route(means: Means, text: str) -> Opinion:
    """Q4 first; where it is not sure, F16 if that is another server."""
    opinion = await _opinion_of(means, "q4", text)
    if opinion.is_firm or not means.has_second_opinion:
        return opinion
    second = await _opinion_of(means, "f16", text)
    return replace(second, votes=second.votes + opinion.votes)


async def _opinion_of(means: Means, role: Role, text: str) -> Opinion:
    """One vote, and two more where it is not sure by itself."""
    votes: list[Vote] = []
    belief, tier = Belief(None, 0.0), role
    for number in range(VOTES):
        vote, tier = await _vote(means, role, text, number)
        votes.append(vote)
        belief = believe(votes)
        if len(votes) != 2 and belief.confidence >= CONFIDENT:
            break
    return Opinion(belief.label, belief.confidence, tier, len(votes))


async def _vote(means: Means, role: Role, text: str, number: int) -> tuple[Vote, Role]:
    sampling = Sampling(
        temperature=LATER_TEMPERATURE if number else 0.0,
        seed=number,
        max_tokens=MOST_OF_A_LABEL,
        least_tokens=MOST_OF_A_LABEL,
        json_schema=route_schema(LABELS),
        top_logprobs=0 if number else ALTERNATIVES,
    )
    answer = await means.writer.complete(role, route_prompt(text), sampling)
    label = label_in(answer.text)
    vote = Vote(label, margin(answer.tokens, label, LABELS) if label else None)
    return vote, means.tier_of(role, answer.endpoint)


def label_in(text: str) -> str | None:
    """The label of `{"route": LABEL}`, with prose or a fence around it too; None where there is none."""
    for begin in (at for at, sign in enumerate(text) if sign == "{"):
        found = read_value(text, begin)
        value = found[0] if found else None
        if isinstance(value, dict) and value.get("route") in LABELS:
            return str(value["route"])
    return None
