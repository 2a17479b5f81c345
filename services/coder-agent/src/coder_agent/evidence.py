"""Everything a job has found out, and what can be read off it: pure data, pure functions.

    candidates × cases   →  a matrix of passed and failed
    candidates × inputs  →  a matrix of values

Cases come in the order of trust: the caller's tests and the request's examples (trusted), what the request says of
every result (properties), the model's own cases (generated). Inputs are calls whose right value nobody knows: where
candidates that were drawn independently give the same, they support each other (CodeT, arXiv 2207.10397); a generated
case that most of them contradict is dropped.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from coder_agent.candidates import Candidate, passed_of

LEAST_VOTERS = 3
"""Samples that a majority against a generated case needs; two that agree may share one mistake."""
LEAST_WAYS = 2
"""Different ways among the voters that also suffice, where they are fewer than LEAST_VOTERS."""
LEAST_FORMS = 2
"""Different codes that it needs as well, or the same by MANY_WAYS."""
MAJORITY = 2 / 3
"""Share of the votes that those that agree must have."""
MANY_WAYS = 3
"""Where those that agree came by so many ways, more than half of the votes are enough."""
LEAST_INPUTS = 3
"""Inputs with a value on which two candidates must agree to support each other."""
LEAST_GENERATED = 3
"""Accepted generated cases that a verdict without trusted ones needs."""
ENOUGH_TO_SUSPECT = 4
"""Samples that must all fail an example before it is suspected."""
ENOUGH_TRUSTED = 3
"""Examples that need no second signal: wrong code hardly ever meets so many."""
ENOUGH_FAULTS = 0.7
"""Share of the small faults in a candidate that the examples must find to pin it (decision 0010)."""


@dataclass(frozen=True)
class Evidence:
    """Everything known so far about one job."""

    candidates: Sequence[Candidate] = ()
    trusted: Sequence[str] = ()
    """Ids of the request's examples and the caller's tests."""
    properties: Sequence[str] = ()
    """Ids of what the request says of every result."""
    generated: Sequence[str] = ()
    """Ids of the model's cases."""
    inputs: Sequence[str] = ()
    """Calls whose values are compared."""
    rounds_of_tests: int = 0
    refinements: int = 0
    attempts: int = 0
    """Answers to "write the code" so far, with and without code in them."""
    splits: int = 0
    """How often the model was asked for the value on which the leading groups part."""
    asked: Sequence[str] = ()
    """The inputs it was asked about, and the calls of its own cases."""
    paid_tokens: int = 0
    """Prompt tokens computed and tokens generated so far."""
    first_tokens: int = 0
    """Of these, for the first answer."""
    model_lost: bool = False
    """No model can be asked any more."""
    has_caller_tests: bool = False
    asked_for: frozenset[str] = frozenset()
    """Packages the sandbox lacks that the request itself asks for."""
    telling: int = 0
    """How many of the trusted cases say something (`Suite.telling`)."""
    calls: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Where several functions are asked for, the case ids that call each of them."""

    @cached_property
    def best(self) -> Candidate | None:
        """The candidate to deliver: it loads, defines the most of what was asked for, passes the most trusted cases,
        then properties, then has the best score.

        Of equal ones the first answer, then the form written most often, then the shorter, then the earlier.
        """
        if self.given is not None:
            return self._best_correction(self.given)

        def rank(candidate: Candidate) -> tuple[bool, int, int, int, float, bool, int]:
            loads = candidate.row is not None and candidate.row.loads
            defined = sum(name in candidate.names for name in self.calls)
            trusted, stated = passed_of(candidate, self.trusted), passed_of(candidate, self.properties)
            is_first = candidate.index == 0
            return (
                loads,
                defined,
                trusted,
                stated,
                round(self.score(candidate), 6),
                is_first,
                self._forms[candidate.form],
            )

        return max(self.candidates, key=lambda c: (*rank(c), -len(c.code), -c.index), default=None)

    @property
    def given(self) -> Candidate | None:
        """The module as it came, where it is to be corrected."""
        return next((one for one in self.candidates if one.origin == "given"), None)

    def _best_correction(self, given: Candidate) -> Candidate:
        """Of those that pass all trusted cases that the given code passes: the one that passes most, changed least.

        Where there are no trusted cases: the newest that loads. Where nothing is run: the newest.
        """
        if given.row is None:
            return self.candidates[-1]
        if not self.trusted:
            return next((c for c in reversed(self.candidates) if c.row is not None and c.row.loads), given)
        passed = [case for case in self.trusted if passed_of(given, [case])]
        no_worse = [c for c in self.candidates if passed_of(c, passed) == len(passed)]
        return max(no_worse, key=lambda c: (passed_of(c, self.trusted), -c.lines_changed(given), -c.index))

    @cached_property
    def voters(self) -> list[Candidate]:
        """The candidates whose behaviour counts: they load, do more than crash, pass as many trusted cases as any
        candidate, and were written without a look at other code.
        """
        able = [c for c in self.candidates if c.is_independent and c.row and not c.row.only_crashes]
        most = max((passed_of(c, self.trusted) for c in self.candidates), default=0)
        return [c for c in able if passed_of(c, self.trusted) == most]

    @cached_property
    def domain(self) -> list[str]:
        """The inputs that at least half of the voters give a value for; the others are outside of what was asked."""
        return [i for i in self.inputs if sum(_output(c, i) is not None for c in self.voters) * 2 >= len(self.voters)]

    @cached_property
    def groups(self) -> list[list[Candidate]]:
        """The voters by what they give for the domain, the largest group first, then the one that passes more cases."""
        by_outputs: dict[tuple[str | None, ...], list[Candidate]] = {}
        for candidate in self.voters:
            by_outputs.setdefault(self._outputs(candidate), []).append(candidate)
        return sorted(by_outputs.values(), key=lambda group: (-votes(group), -passed_of(group[0], self.generated)))

    @property
    def groups_with_values(self) -> list[list[Candidate]]:
        """The groups that give a value for some input."""
        return [group for group in self.groups if any(value is not None for value in self._outputs(group[0]))]

    @cached_property
    def weights(self) -> dict[str, float]:
        """By generated case, the share of the voters' agreement that stands behind it, 1 where too few voted to judge.

        0 where most are against it and these are different codes: what is written again repeats its mistake.
        """
        shares = {c.index: votes([c]) + self.agreement(c) for c in self.voters}
        whole = sum(shares.values())
        can_judge = len(self.voters) >= LEAST_VOTERS or len({one.way for one in self.voters}) >= LEAST_WAYS
        weights: dict[str, float] = {}
        for case in self.generated:
            against = [c for c in self.voters if not passed_of(c, [case])]
            share = 1 - sum(shares[c.index] for c in against) / whole if whole else 1.0
            weights[case] = 1.0 if not can_judge else share if share >= 0.5 else 0.0 if _differ(against) else 0.5
        return weights

    @property
    def suspects(self) -> list[str]:
        """Examples that none of at least four samples meets while others are met: the example may be wrong."""
        able = [c for c in self.candidates if c.row and not c.row.only_crashes]
        if self.has_caller_tests or sum(c.origin == "sample" for c in able) < ENOUGH_TO_SUSPECT:
            return []
        missed = [case for case in self.trusted if not any(passed_of(c, [case]) for c in able)]
        return missed if len(missed) < len(self.trusted) else []

    @property
    def standing(self) -> list[str]:
        """The generated cases that the voters do not contradict."""
        return [case for case in self.generated if self.weights[case] > 0]

    @property
    def enough_generated(self) -> int:
        """How many generated cases must be left to speak for a candidate: half of them, and a few at least."""
        return max(LEAST_GENERATED, (len(self.generated) + 1) // 2)

    def agreement(self, candidate: Candidate) -> float:
        """Summed over the domain, the votes for the same value as `candidate` gives."""
        given = [(i, _output(candidate, i)) for i in self.domain]
        return float(
            sum(votes(c for c in self.voters if _output(c, i) == value) for i, value in given if value is not None)
        )

    def score(self, candidate: Candidate) -> float:
        """Agreement, and half the number of voters for each generated case passed, by its weight."""
        tests = sum(weight for case, weight in self.weights.items() if passed_of(candidate, [case]))
        return self.agreement(candidate) + 0.5 * len(self.voters) * tests

    def supporters(self, candidate: Candidate) -> list[Candidate]:
        """The other voters that give the same as `candidate` for every input of the domain, if that says something."""
        if len(self.domain) < LEAST_INPUTS or self.is_constant(candidate):
            return []
        return self._alike(candidate)

    def is_constant(self, candidate: Candidate) -> bool:
        """Whether it gives one and the same value whatever goes in."""
        return len(self.domain) >= LEAST_INPUTS and len(set(self._outputs(candidate))) == 1

    def is_silent(self, candidate: Candidate) -> bool:
        """Whether it gives hardly any value but for the examples: as code does that holds their answers."""
        given = sum(_output(candidate, i) is not None for i in self.inputs)
        return len(self.inputs) >= LEAST_INPUTS > given

    def is_repeated(self, candidate: Candidate) -> bool:
        """Whether the voters that do as it does are many and all the same code, come by in one way."""
        agreeing = self._of_one_mind(candidate)
        return len(agreeing) >= LEAST_VOTERS and len({(one.form, one.way) for one in agreeing}) < 2

    def is_outvoted(self, candidate: Candidate) -> bool:
        """Whether more voters do alike, but otherwise than `candidate`, than do as it does."""
        if len(self.domain) < LEAST_INPUTS or not self.groups:
            return False
        return votes(self.groups[0]) > votes(self._of_one_mind(candidate))

    def meets_trusted(self, candidate: Candidate) -> bool:
        """Whether there are trusted cases and it passes all, and all that the request says of every result."""
        passes = passed_of(candidate, self.trusted) == len(self.trusted)
        return bool(self.trusted) and passes and self.meets_stated(candidate)

    def meets_stated(self, candidate: Candidate) -> bool:
        """Whether it does all that the request says of every result."""
        return passed_of(candidate, self.properties) == len(self.properties)

    def is_settled_by_generated(self, candidate: Candidate) -> bool:
        """Whether the generated cases alone speak for it: it passes all, or all that stand, and enough stand."""
        if not self.meets_stated(candidate) or self.is_outvoted(candidate):
            return False
        if len(self.generated) >= LEAST_GENERATED and passed_of(candidate, self.generated) == len(self.generated):
            return True
        standing = self.standing
        passes = len(standing) >= self.enough_generated and passed_of(candidate, standing) == len(standing)
        is_alone = len(self.domain) >= LEAST_INPUTS and not self._has_majority(candidate)
        return passes and not is_alone

    def is_backed(self, candidate: Candidate) -> bool:
        """Whether a second signal agrees with the trusted cases: one example alone is easily met by wrong code.

        The signal is many examples, most samples doing the same on inputs nobody wrote, or half of the model's own
        cases. The caller's own tests need none.
        """
        if self.is_outvoted(candidate) or not self.meets_stated(candidate):
            return False
        if self.has_caller_tests or self._has_majority(candidate):
            return True
        if self.telling >= ENOUGH_TRUSTED and not self.is_contradicted(candidate):
            return True
        enough = self.rounds_of_tests and len(self.generated) >= LEAST_GENERATED and not self.is_constant(candidate)
        return bool(enough) and passed_of(candidate, self.generated) * 2 >= len(self.generated)

    def is_pinned(self, candidate: Candidate) -> bool:
        """Whether the examples find most small faults put into it and all stubs: wrong code hardly meets them."""
        strength = candidate.strength
        if strength is None or strength.faults_found is None or strength.stub_meets:
            return False
        is_enough = strength.faults_found >= ENOUGH_FAULTS
        fails_all = len(self.generated) >= LEAST_GENERATED and not passed_of(candidate, self.generated)
        return is_enough and not fails_all and self.meets_trusted(candidate) and not self.is_contradicted(candidate)

    def is_contradicted(self, candidate: Candidate) -> bool:
        """Whether more do otherwise, it gives the same or nothing whatever goes in, or not what the request says of
        every result.
        """
        is_bound = self.is_constant(candidate) or self.is_silent(candidate)
        return self.is_outvoted(candidate) or is_bound or not self.meets_stated(candidate)

    def unproved(self, candidate: Candidate) -> list[str]:
        """Of several functions that are asked for, those it does not define, or that no case which counts calls: a
        trusted one, or the model's of which it passes half.
        """
        return [name for name, cases in self.calls.items() if not self._is_proved(candidate, name, cases)]

    def _is_proved(self, candidate: Candidate, name: str, cases: Sequence[str]) -> bool:
        own = [case for case in cases if case not in self.trusted]
        is_called = len(own) < len(cases) or (bool(own) and 2 * passed_of(candidate, own) >= len(own))
        return name in candidate.names and is_called

    def _has_majority(self, candidate: Candidate) -> bool:
        """Whether two thirds of the voters (two at least) do the same, and half of those that were asked are voters.

        More than half are enough where they came by three ways.
        Where most fail the example, two that meet it may do so by chance, unless the first answer is one of them.
        The same code drawn again and again in one way may be the same mistake: one of those that agree must be other
        code or come by another way.
        Where another way leads elsewhere, two ways must lead here.
        """
        company = self.supporters(candidate)
        agreeing = self._of_one_mind(candidate)
        if len({(one.form, one.way) for one in agreeing}) < 2:
            return False
        ways = {one.way for one in agreeing}
        if len(ways) < 2 and any(one.way not in ways for one in self.voters):
            return False
        asked = [c for c in self.candidates if c.is_independent]
        is_sure = any(one.index == 0 for one in agreeing) or len(agreeing) >= LEAST_VOTERS
        is_usual = 2 * votes(self.voters) >= votes(asked) or is_sure
        share = votes(agreeing) / votes(self.voters)
        is_most = share >= MAJORITY or (share > 0.5 and len(ways) >= MANY_WAYS)
        return bool(company) and is_usual and is_most

    def _alike(self, candidate: Candidate) -> list[Candidate]:
        return [one for one in self._of_one_mind(candidate) if one.index != candidate.index]

    def _of_one_mind(self, candidate: Candidate) -> list[Candidate]:
        """The voters that do as it does, itself among them where it has a vote."""
        mine = self._outputs(candidate)
        return [one for one in self.voters if one.index == candidate.index or self._outputs(one) == mine]

    def _outputs(self, candidate: Candidate) -> tuple[str | None, ...]:
        return tuple(_output(candidate, i) for i in self.domain)

    @cached_property
    def _forms(self) -> Counter[str]:
        return Counter(candidate.form for candidate in self.candidates)


def _differ(candidates: Sequence[Candidate]) -> bool:
    """Whether they are LEAST_FORMS different codes, or came by MANY_WAYS."""
    return len({c.form for c in candidates}) >= LEAST_FORMS or len({c.way for c in candidates}) >= MANY_WAYS


def votes(candidates: Iterable[Candidate]) -> int:
    """One each; two for the greedy answer, which is right more often than those that are drawn."""
    return sum(2 if candidate.index == 0 and candidate.style == "plain" else 1 for candidate in candidates)


def _output(candidate: Candidate, given: str) -> str | None:
    return candidate.row.outputs.get(given) if candidate.row else None
