"""The coding workflow.

plan → write_code → (decide) ─┬─> write_code   another sample
                              ├─> write_tests  from the request alone
                              ├─> run_tests    what was not run yet
                              ├─> compare      candidates against each other
                              ├─> refine       with the concrete failure
                              └─> verify ─> summarize

After every step `decide`, a pure function of the evidence, names the next one. This is the only module that knows
LangGraph.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any, Literal, cast

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from coder_agent import nodes
from coder_agent.decision import decide
from coder_agent.nodes import Means
from coder_agent.state import CodingState, Task

Graph = CompiledStateGraph[CodingState, Means, CodingState, CodingState]
Step = Callable[[CodingState, Means], Awaitable[CodingState]]
STEPS = {"accept": "verify", "stop": "verify"}
LOOP = ("write_code", "write_tests", "run_tests", "compare", "refine")
MOST_STEPS = 200
PartKind = Literal["custom", "values"]


def build_graph() -> Graph:
    """The compiled workflow; one serves every job, each with its own `Means` as context."""
    builder = StateGraph(CodingState, context_schema=Means)
    for step in (nodes.plan, nodes.write_code, nodes.write_tests, nodes.run_tests, nodes.compare, nodes.refine):
        builder.add_node(step.__name__, _node(step))
    builder.add_node("verify", _node(nodes.verify))
    builder.add_node("summarize", _node(nodes.summarize))
    builder.add_edge(START, "plan")
    builder.add_edge("plan", "write_code")
    for name in LOOP:
        builder.add_conditional_edges(name, next_step, [*LOOP, "verify"])
    builder.add_edge("verify", "summarize")
    builder.add_edge("summarize", END)
    return builder.compile()


def next_step(state: CodingState) -> str:
    """The name of the step that `decide` asks for."""
    action = decide(nodes.evidence_of(state), state["task"].limits)
    return STEPS.get(action, action)


async def run_graph(graph: Graph, task: Task, means: Means) -> AsyncIterator[tuple[PartKind, Any]]:
    """Run one job: yields `("custom", event)` as things happen, and `("values", state)` after each step."""
    stream = graph.astream(
        CodingState(task=task),
        context=means,
        stream_mode=["custom", "values"],
        version="v2",
        config={"recursion_limit": MOST_STEPS},
    )
    async for part in stream:
        yield cast(PartKind, part["type"]), part["data"]


def _node(step: Step) -> Any:
    """`step` as LangGraph calls it: with its means from the runtime, its events into the stream, its time observed."""

    async def node(state: CodingState, runtime: Runtime[Means]) -> CodingState:
        means = replace(runtime.context, emit=runtime.stream_writer)
        started = time.perf_counter()
        try:
            return await step(state, means)
        finally:
            means.observe(step.__name__, time.perf_counter() - started)

    return node
