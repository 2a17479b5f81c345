"""Candidates get their rows: run on all cases and inputs; on the best one the examples are put to the test."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from coder_agent.candidates import Candidate, ExampleStrength
from coder_agent.decision import wants_wider_inputs
from coder_agent.entry import settled
from coder_agent.gate import example_strength
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
    if not task.caller_tests and wants_wider_inputs(evidence_of(_with(state, pool, inputs))):
        wider = await asyncio.to_thread(wider_inputs_of, suite, inputs, task.whole_request)
        if len(wider) > len(inputs):
            inputs = wider
            pool = await _with_rows(state, means, tuple(candidate.with_row(None) for candidate in pool), inputs)
    return await _with_strength(_with(state, pool, inputs), means), tuple(inputs)


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


async def _with_strength(state: CodingState, means: Means) -> Pool:
    """Of the best one that meets the examples: how much do they say of it? Equal code is tried once."""
    evidence, task, suite, pool = evidence_of(state), state["task"], state["suite"], state["candidates"]
    best, reading = evidence.best, settled(state["reading"], pool)
    if best is None or not evidence.meets_trusted(best) or evidence.has_caller_tests:
        return pool
    strength = next((c.strength for c in pool if c.code == best.code and c.strength is not None), None)
    if strength is None and reading.kind == "script":
        strength = ExampleStrength()  # no fault is put into one
    if strength is None:
        trusted = suite.only(suite.ids(trusted=True))
        strength = await example_strength(means.sandbox, task, trusted, best, reading.to_define)
    return tuple(replace(c, strength=strength) if c.code == best.code else c for c in pool)
