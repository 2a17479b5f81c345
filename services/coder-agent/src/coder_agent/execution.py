"""Candidates get their rows: run on all cases and inputs; on the best one the examples are put to the test."""

from collections.abc import Sequence
from dataclasses import replace

from coder_agent.candidates import Candidate
from coder_agent.decision import wants_wider_inputs
from coder_agent.entry import settled
from coder_agent.gate import fail_on_stubs, mutation_score
from coder_agent.gathering import evidence_of, inputs_of, wider_inputs_of
from coder_agent.means import Means
from coder_agent.runs import run_candidates
from coder_agent.state import CodingState

Pool = tuple[Candidate, ...]


async def execute(state: CodingState, means: Means) -> tuple[Pool, tuple[str, ...]]:
    """The candidates with their rows, and the inputs they were compared on.

    Where the inputs tell nothing apart, all candidates are run again on more of them, further away.
    """
    task, suite = state["task"], state["suite"]
    inputs = inputs_of(suite, state["inputs"])
    pool = await _with_rows(state, means, state["candidates"], inputs)
    wider = wider_inputs_of(suite, inputs, task.request)
    may_be_wider = len(wider) > len(inputs) and not task.caller_tests
    if may_be_wider and wants_wider_inputs(evidence_of(_with(state, pool, inputs))):
        inputs = wider
        pool = await _with_rows(state, means, tuple(candidate.with_row(None) for candidate in pool), inputs)
    return await _with_faults_found(_with(state, pool, inputs), means), tuple(inputs)


def _with(state: CodingState, pool: Pool, inputs: Sequence[str]) -> CodingState:
    return state | CodingState(candidates=pool, inputs=tuple(inputs))


async def _with_rows(state: CodingState, means: Means, pool: Pool, inputs: Sequence[str]) -> Pool:
    """Those without a row are run, equal code once."""
    task, suite, is_script = state["task"], state["suite"], state["reading"].kind == "script"
    by_code = {c.code: c.row for c in pool if c.row is not None}
    new = list({c.code: c for c in pool if c.code not in by_code}.values())
    rows = await run_candidates(means.sandbox, task, new, suite, inputs, is_script=is_script) if new else []
    by_code |= {candidate.code: row for candidate, row in zip(new, rows, strict=True)}
    return tuple(c.with_row(by_code[c.code]) for c in pool)


async def _with_faults_found(state: CodingState, means: Means) -> Pool:
    """Of the best one that meets the examples: how many faults in it do they find, and does a stub meet them?"""
    evidence, task, suite, pool = evidence_of(state), state["task"], state["suite"], state["candidates"]
    best, reading = evidence.best, settled(state["reading"], pool)
    if best is None or best.row is None or not evidence.meets_trusted(best) or evidence.has_caller_tests:
        return pool
    if best.row.faults_found is not None or best.row.stub_passes or reading.kind == "script":
        return pool
    trusted = suite.ids(trusted=True)
    found = await mutation_score(means.sandbox, task, suite.only(trusted), best)
    fail = await fail_on_stubs(means.sandbox, task, suite, trusted, reading.to_define)
    row = replace(best.row, faults_found=found, stub_passes=not fail)
    return tuple(c.with_row(row) if c.code == best.code else c for c in pool)
