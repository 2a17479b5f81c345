"""Code that came with the task is corrected: the model is shown it and what failed, and writes it again.

Every other try it is shown what the functions are for, not what they do: small models copy the code they see, mistake
and all, and know the usual algorithms by heart (docs/decisions/0009-other-ways-and-refining.md).
Of its changes only those are kept without which a test fails (`reduced`): small models rewrite more than they correct.
"""

import ast
import asyncio
import difflib
from collections.abc import Sequence
from dataclasses import replace

from coder_agent import prompts
from coder_agent.asking import LATER_TEMPERATURE, ask, brief_of
from coder_agent.candidates import Candidate
from coder_agent.entry import settled
from coder_agent.extraction import Module, as_module, extract_module, parse, strip_thinking
from coder_agent.failures import failures
from coder_agent.gathering import evidence_of
from coder_agent.means import Means
from coder_agent.runs import run_candidates
from coder_agent.state import CodingState
from kitty_llm import ContextOverflow, Sampling

MOST_HUNKS = 12
"""Changes that are tried without, one after another; of a module that was written anew there are many."""
Lines = list[str]


async def repair(state: CodingState, means: Means) -> CodingState:
    """One more correction of the best code so far; the first is the model's likeliest, the others are drawn."""
    task, candidates, number = state["task"], state["candidates"], state["refinements"]
    target = evidence_of(state).best
    assert target is not None, "the code that came with the task is one"
    means.emit({"type": "refine_start", "iteration": number + 1})
    reading = settled(state["reading"], candidates)
    shown = [*([task.error.strip()] if task.error else []), *failures(state["suite"], target)]
    outlined = outline(target.code) if number % 2 and task.caller_tests else ""
    brief = brief_of(task, reading)
    repairing = prompts.repair_prompt(brief, target.code, shown)
    prompt = prompts.outline_prompt(brief, outlined) if outlined else repairing
    sampling = Sampling(
        temperature=LATER_TEMPERATURE if number > 1 else means.settings.coder_temperature or 0.0,
        seed=number,
        max_tokens=means.settings.coder_max_tokens,
        stop=prompts.STOP,
    )
    try:
        answer, usage = await ask(state, means, "refine", "coder", prompt, sampling)
    except ContextOverflow as error:
        if number == 0:
            raise
        means.emit({"type": "refine_complete", "code": "", "error": str(error)})
        return CodingState(refinements=task.limits.refinements)
    found = await asyncio.to_thread(_module_in, answer.text, reading.entry)
    if found is not None and all(found.code != one.code for one in candidates):
        origin = (answer.model, answer.endpoint.model_sha256)
        candidates = (*candidates, Candidate(len(candidates), found.code, found.names, "repair", *origin))
    means.emit({"type": "refine_complete", "code": found.code if found else ""})
    return CodingState(candidates=candidates, refinements=number + 1, usage=usage)


def outline(code: str) -> str:
    """The module with `...` in place of what its functions do, their docstrings kept; "" where it does not compile."""
    tree = parse(code)
    if tree is None:
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            said = node.body[:1] if ast.get_docstring(node) is not None else []
            node.body = [*said, ast.Expr(ast.Constant(...))]
    return f"{ast.unparse(tree)}\n"


async def reduced(state: CodingState, means: Means) -> tuple[Candidate, ...]:
    """The candidates, and the best correction without the changes that no trusted test needs, where there are such."""
    evidence, candidates = evidence_of(state), state["candidates"]
    given, best = evidence.given, evidence.best
    if given is None or best is None or best is given or not evidence.meets_trusted(best):
        return candidates
    lines = given.code.splitlines(keepends=True), best.code.splitlines(keepends=True)
    hunks = [code for code in difflib.SequenceMatcher(None, *lines, autojunk=False).get_opcodes() if code[0] != "equal"]
    least = best
    if 1 < len(hunks) <= MOST_HUNKS:
        for hunk in list(hunks):
            fewer = [one for one in hunks if one is not hunk]
            tried = replace(best, index=len(candidates), code=patched(*lines, fewer), origin="reduced", row=None)
            tried = await _run(state, means, tried)
            if evidence_of(state | CodingState(candidates=(*candidates, tried))).meets_trusted(tried):
                hunks, least = fewer, tried
    return candidates if least is best else (*candidates, least)


def _module_in(text: str, entry: str | None) -> Module | None:
    """The whole file, as it was asked for, rather than the parts of it that define something."""
    whole = strip_thinking(text).partition("\n```")[0].strip("\n") + "\n"
    return as_module(whole) if whole.strip() and parse(whole) else extract_module(text, entry)


def patched(old: Lines, new: Lines, hunks: Sequence[tuple[str, int, int, int, int]]) -> str:
    """`old` with those parts of `new` in it that `hunks` (opcodes of difflib) say."""
    made, at = [], 0
    for _, begin, end, new_begin, new_end in hunks:
        made += [*old[at:begin], *new[new_begin:new_end]]
        at = end
    return "".join([*made, *old[at:]])


async def _run(state: CodingState, means: Means, candidate: Candidate) -> Candidate:
    is_script = state["reading"].kind == "script"
    [row] = await run_candidates(
        means.sandbox, state["task"], [candidate], state["suite"], state["inputs"], is_script=is_script
    )
    return candidate.with_row(row)
