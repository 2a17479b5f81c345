"""Decide again on recorded evidence, without a model: `python -m coder_agent.replay FILE|DIR … [--tier T]`.

DIR is a folder of recordings, or one that holds them in `evidence`, as the folder of an evaluation does.

Each step that `decide` asks for reveals what the next recorded step of that kind revealed, at its recorded cost. Where
the record has no such step left, the replay ends there, `exhausted`. The same code on the same record takes the same
steps; changed rules or weights show at once where they decide otherwise and what that costs or gains.
"""

import argparse
import json
import os
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
        ValueError: names the file and line that is none, or the folder that holds none.
    """
    for path in paths:
        for file in _files(path):
            for number, line in enumerate(_text(file).splitlines(), 1):
                try:
                    yield from_json(json.loads(line))
                except json.JSONDecodeError as error:
                    raise ValueError(f"{file}:{number}: no recording") from error
                except ValueError as error:
                    raise ValueError(f"{file}:{number}: {error}") from error


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    below = path / "evidence"
    if below.is_dir():
        path = below
    elif (path / "records.jsonl").exists():
        raise ValueError(
            f"{path} holds no evidence: no answer of a tier is recorded there, or the service of --base kept it "
            "(its CODER_EVIDENCE_DIR)"
        )
    files = sorted(path.glob("*.json*"))
    if not files:
        raise ValueError(f"{path} holds no recorded evidence")
    return files


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: no recording") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay and print a line a job and the totals. Exit code 2: a file that cannot be read."""
    options = _parser().parse_args(arguments)
    try:
        recordings = list(read_recordings(options.paths))
    except OSError as error:
        return _refuse(f"{error.filename} cannot be read: {error.strerror}.")
    except ValueError as error:
        return _refuse(f"{error}.")
    limits = TIERS[options.tier] if options.tier else None
    compared = [_compare(recording, replay(recording, limits)) for recording in recordings]
    if options.as_json:
        print("\n".join(json.dumps(one.to_dict()) for one in compared))
        return 0
    print("\n".join(_aligned([COLUMNS, *(one.cells for one in compared)])))
    known = [one.is_right for one in compared if one.is_right is not None]
    same, settled = sum(one.is_same for one in compared), sum(one.again.is_settled for one in compared)
    right = f"{sum(known)} of {len(known)} known right"
    print(f"{len(compared)} jobs: {same} decided as before, {settled} settled, {right}.")
    return 0


def _refuse(reason: str) -> int:
    print(f"kitty-cli: {reason}", file=sys.stderr)
    return 2


COLUMNS = ("task", "as before", "evidence", "code", "confidence", "tokens", "steps")
MEANING = """\
columns:
  task        the evaluation's name of the task, else the job's id
  as before   same: today's rules take the recorded steps; OTHER: they do not
  evidence    settled: it speaks for the code, which would be verified; open: it does not
  code        right or wrong by the hidden tests, as the evaluation found; ?: not known
  confidence  of the code that would be delivered, 0 to 1
  tokens      that the steps cost when they were recorded
  steps       what would be done, in order; accept or stop ends it, else the record ends there
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"{os.environ.get('KITTY_COMMAND') or 'kitty-cli'} eval replay",
        description="Decide again by the rules of today, on what a run has recorded and without a model.",
        epilog=MEANING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = "the folder of an evaluation, a folder of recordings, or one of its files"
    parser.add_argument("paths", nargs="+", type=Path, metavar="DIR|FILE", help=where)
    parser.add_argument("--tier", choices=[*TIERS], help="by the limits of another tier")
    parser.add_argument("--json", action="store_true", dest="as_json", help="one JSON document a job")
    return parser


@dataclass(frozen=True)
class _Compared:
    """A job as it is shown."""

    name: str
    again: Replayed
    is_same: bool
    is_right: bool | None

    def to_dict(self) -> dict[str, object]:
        facts = {"name": self.name, "same": self.is_same, "right": self.is_right, "settled": self.again.is_settled}
        again = self.again
        return facts | {"chosen": again.chosen, "confidence": again.confidence, "actions": again.actions}

    @property
    def cells(self) -> tuple[str, ...]:
        """One for each of `COLUMNS`."""
        judged = {True: "right", False: "wrong", None: "?"}[self.is_right]
        words = ("same" if self.is_same else "OTHER", "settled" if self.again.is_settled else "open", judged)
        numbers = (f"{self.again.confidence:.2f}", str(self.again.paid_tokens))
        return (self.name, *words, *numbers, " ".join(self.again.actions))


def _compare(recording: Recording, again: Replayed) -> _Compared:
    is_same = again.actions[:-1] == tuple(recording.actions) and not again.exhausted
    is_right = None if recording.right is None or again.chosen is None else recording.right.get(again.chosen)
    return _Compared(recording.task or recording.job_id, again, is_same, is_right)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


if __name__ == "__main__":
    sys.exit(main())
