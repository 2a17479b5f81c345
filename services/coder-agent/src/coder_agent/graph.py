"""The coding workflow.

plan → (decide) ──────────────┬─> write_code   a sample
                              ├─> write_tests  from the request alone
                              ├─> run_tests    what was not run yet, in one matrix
                              ├─> split        which of two values is right
                              ├─> refine       with the concrete failure
                              ├─> repair       likewise, code that came with the task
                              └─> verify ─> summarize

After each step up to `repair`, `decide`, a pure function of the evidence, names the next one. So the state alone says
where a job goes on whose process has died. This is the only module that knows LangGraph.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from coder_agent import nodes
from coder_agent.decision import decide
from coder_agent.gathering import can_go_on, evidence_of, with_step
from coder_agent.means import Means
from coder_agent.repairing import repair
from coder_agent.state import CodingState
from kitty_llm import LLMError

Graph = CompiledStateGraph[CodingState, Means, CodingState, CodingState]
Step = Callable[[CodingState, Means], Awaitable[CodingState]]
NODE_OF = {"accept": "verify", "stop": "verify"}
LOOP = ("write_code", "write_tests", "run_tests", "split", "refine", "repair")
MOST_STEPS = 200


def build_graph() -> Graph:
    """The compiled workflow; one serves every job, each with its own `Means` as context."""
    builder = StateGraph(CodingState, context_schema=Means)
    written = (nodes.plan, nodes.write_code, nodes.write_tests, nodes.run_tests, nodes.split, nodes.refine)
    for step in (*written, repair):
        builder.add_node(step.__name__, _node(step))
    builder.add_node("verify", _node(nodes.verify))
    builder.add_node("summarize", _node(nodes.summarize))
    builder.add_conditional_edges(START, first_step, ["plan", *LOOP, "verify", "summarize", END])
    for name in ("plan", *LOOP):
        builder.add_conditional_edges(name, next_step, [*LOOP, "verify"])
    builder.add_edge("verify", "summarize")
    builder.add_edge("summarize", END)
    return builder.compile()


def next_step(state: CodingState) -> str:
    """The name of the step that `decide` asks for."""
    action = decide(evidence_of(state), state["task"].limits)
    return NODE_OF.get(action, action)


def first_step(state: CodingState) -> str:
    """The name of the step with which a job goes on that has come to `state`; `plan` where it begins."""
    if "reading" not in state:
        return "plan"
    if "report" not in state:
        return next_step(state)
    return END if "summary" in state else "summarize"


async def run_graph(
    graph: Graph, state: CodingState, means: Means, on_state: Callable[[CodingState], Awaitable[None]]
) -> None:
    """Run one job from `state`, or go on with it: `means.emit` as things happen, `on_state` after each step.

    The next step begins when `on_state` has returned.

    When the caller is cancelled, this returns only after the step that runs has ended. LangGraph is told once: a second
    cancel while it ends its steps makes it leave them running.
    """
    running = asyncio.create_task(_pass_on(graph, state, means, on_state))
    try:
        await asyncio.shield(running)
    finally:
        running.cancel()
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({running})


async def _pass_on(
    graph: Graph, state: CodingState, means: Means, on_state: Callable[[CodingState], Awaitable[None]]
) -> None:
    stream = graph.astream(
        state,
        context=means,
        stream_mode=["custom", "values"],
        version="v2",
        config={"recursion_limit": MOST_STEPS},
    )
    async for part in stream:
        if part["type"] == "custom":
            means.emit(part["data"])
        else:
            await on_state(cast(CodingState, part["data"]))


async def _or_without_a_model(step: Step, state: CodingState, means: Means) -> CodingState:
    """The step's update; where the model is lost and there is code that meets the examples, work goes on without it."""
    try:
        return await step(state, means)
    except LLMError as error:
        if step.__name__ not in LOOP or not can_go_on(state):
            raise
        means.emit({"type": "model_lost", "error": str(error)})
        return CodingState(model_lost=str(error) or type(error).__name__)


def _node(step: Step) -> Any:
    """`step` as LangGraph calls it: with its means from the runtime, its events into the stream, its time observed."""

    async def node(state: CodingState, runtime: Runtime[Means]) -> CodingState:
        means = replace(runtime.context, emit=runtime.stream_writer)
        started = time.perf_counter()
        try:
            update = await _or_without_a_model(step, state, means)
            return with_step(state, update, step.__name__) if step.__name__ in LOOP else update
        finally:
            means.observe(step.__name__, time.perf_counter() - started)

    return node
