"""Decide again on recorded evidence, without a model: `python -m coder_agent.replay FILE|DIR … [--tier T]`.

Each step that `decide` asks for reveals what the next recorded step of that kind revealed, at its recorded cost. Where
the record has no such step left, the replay ends there, `exhausted`. The same code on the same record takes the same
steps; changed rules or weights show at once where they decide otherwise and what that costs or gains.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from coder_agent.candidates import Candidate, Row
from coder_agent.confidence import confidence
from coder_agent.decision import TIERS, Action, Limits, decide, may_be_verified
from coder_agent.evidence import Evidence
from coder_agent.recording import Recording, from_json
from coder_agent.state import StepTaken

MOST_STEPS = 200


@dataclass(frozen=True)
class Replayed:
    """What the rules of today make of a recorded job."""

    actions: tuple[Action, ...]
    """Ends with accept, stop, or the action that the record has no step for."""
    chosen: int | None
    """Index of the candidate that would be delivered."""
    is_settled: bool
    """Whether the evidence speaks for it; the last run on the delivered files is not repeated."""
    confidence: float
    paid_tokens: int
    exhausted: bool


def replay(recording: Recording, limits: Limits | None = None) -> Replayed:
    """Take the decisions of `recording` again, by `limits` (default: those of its tier) and its refinements."""
    limits = limits or TIERS[recording.tier]
    limits = replace(limits, refinements=recording.refinements, runs_code=recording.runs_code)
    left = list(recording.steps)
    evidence = Evidence(
        trusted=recording.trusted,
        properties=recording.properties,
        has_caller_tests=recording.has_caller_tests,
        telling=recording.telling,
    )
    actions: list[Action] = []
    action: Action = "write_code"
    for _ in range(MOST_STEPS):
        actions.append(action)
        step = next((step for step in left if step.action == action), None)
        if action in {"accept", "stop"} or (step is None and action != "run_tests"):
            break
        if step is not None:
            left.remove(step)
        evidence = _after(evidence, action, step, recording, limits)
        action = decide(evidence, limits)
    return _outcome(evidence, limits, tuple(actions))


def _after(
    evidence: Evidence, action: Action, step: StepTaken | None, recording: Recording, limits: Limits
) -> Evidence:
    if step is None or action == "run_tests":
        inputs = step.inputs if step is not None and step.inputs is not None else evidence.inputs
        evidence = replace(evidence, inputs=inputs)
        shown = tuple(_shown(recording.candidates[c.index], evidence) for c in evidence.candidates)
        missing = {name for one in shown if one.row for name in one.row.missing_modules}
        return replace(evidence, candidates=shown, asked_for=frozenset(recording.asked_for) & missing)
    if step.lost:
        return replace(evidence, model_lost=True)
    new = [candidate.with_row(None) for candidate in recording.candidates[slice(*step.candidates)]]
    old = [candidate.with_row(None) if step.cases else candidate for candidate in evidence.candidates]
    refinements = evidence.refinements + (action == "refine")
    if action == "refine" and not new:
        refinements = max(refinements, limits.refinements)
    return replace(
        evidence,
        candidates=(*old, *new),
        generated=(*evidence.generated, *step.cases),
        calls=_calls_by_now(recording, (*evidence.trusted, *evidence.generated, *step.cases)),
        paid_tokens=evidence.paid_tokens + step.paid,
        first_tokens=evidence.first_tokens or step.paid,
        attempts=evidence.attempts + (action == "write_code"),
        rounds_of_tests=evidence.rounds_of_tests + (action == "write_tests"),
        splits=evidence.splits + (action == "split"),
        asked=(*evidence.asked, *step.asked),
        refinements=refinements,
    )


def _calls_by_now(recording: Recording, known: Sequence[str]) -> dict[str, list[str]]:
    return {name: [case for case in cases if case in known] for name, cases in recording.calls.items()}


def _shown(candidate: Candidate, evidence: Evidence) -> Candidate:
    """`candidate` with as much of its row as is known by now."""
    row = candidate.row or Row({}, loads=False)
    known = {*evidence.trusted, *evidence.properties, *evidence.generated}
    checks = {name: check for name, check in row.checks.items() if name in known}
    outputs = {given: value for given, value in row.outputs.items() if given in evidence.inputs}
    return candidate.with_row(replace(row, checks=checks, outputs=outputs))


def _outcome(evidence: Evidence, limits: Limits, actions: tuple[Action, ...]) -> Replayed:
    chosen = evidence.best
    meets = chosen is not None and (not evidence.trusted or evidence.meets_trusted(chosen))
    is_settled = meets and chosen is not None and may_be_verified(evidence, limits, chosen)
    sure = confidence(evidence, chosen) if chosen is not None else 0.0
    index = chosen.index if chosen is not None else None
    exhausted = actions[-1] not in {"accept", "stop"}
    return Replayed(actions, index, is_settled, sure, evidence.paid_tokens, exhausted)


def read_recordings(paths: Iterable[Path]) -> Iterator[Recording]:
    """The recordings in files (one JSON document a line) and folders of them.

    Raises:
        ValueError: names the file and line that is none.
    """
    for path in paths:
        for file in sorted(path.glob("*.json*")) if path.is_dir() else [path]:
            for number, line in enumerate(file.read_text().splitlines(), 1):
                try:
                    yield from_json(json.loads(line))
                except ValueError as error:
                    raise ValueError(f"{file}:{number}: {error}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay and print a line a job and the totals. Exit code 2: a file that cannot be read."""
    parser = argparse.ArgumentParser(prog="kitty-cli eval replay", description="Decide again on recorded evidence.")
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE|DIR")
    parser.add_argument("--tier", choices=[*TIERS], help="by the limits of another tier")
    parser.add_argument("--json", action="store_true", dest="as_json", help="one JSON document a job")
    options = parser.parse_args(arguments)
    try:
        recordings = list(read_recordings(options.paths))
    except (OSError, ValueError) as error:
        print(f"kitty-cli: {error}", file=sys.stderr)
        return 2
    same = settled = right = known = 0
    for recording in recordings:
        again = replay(recording, TIERS[options.tier] if options.tier else None)
        is_same = again.actions[:-1] == tuple(recording.actions) and not again.exhausted
        is_right = None if recording.right is None or again.chosen is None else recording.right.get(again.chosen)
        same, settled = same + is_same, settled + again.is_settled
        right, known = right + bool(is_right), known + (is_right is not None)
        print(_line(recording, again, is_same, is_right, options.as_json))
    if not options.as_json:
        print(f"{len(recordings)} jobs: {same} decided as before, {settled} settled, {right} of {known} known right.")
    return 0


def _line(recording: Recording, again: Replayed, is_same: bool, is_right: bool | None, as_json: bool) -> str:
    name = recording.task or recording.job_id
    if as_json:
        facts = {"name": name, "same": is_same, "right": is_right, "settled": again.is_settled, "chosen": again.chosen}
        return json.dumps(facts | {"confidence": again.confidence, "actions": again.actions})
    is_as_before = "same" if is_same else "OTHER"
    judged = {True: "right", False: "wrong", None: "?"}[is_right]
    words = [name, is_as_before, "settled" if again.is_settled else "open", judged, f"{again.confidence:.2f}"]
    return "  ".join([*words, f"{again.paid_tokens} tokens", *again.actions])


if __name__ == "__main__":
    sys.exit(main())
