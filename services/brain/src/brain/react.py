"""The ReAct loop as a graph. The only module that knows LangGraph.

decide ─┬────────────────> invoke ─┬─> end       code is delivered, or a person has to confirm
        ├──> choose <──────────────┤
        │      └──> answer <───────┘             stalled, or enough calls
        ├───────────> answer ──> end
        └──> end                                 a question back
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from brain import steps
from brain.deciding import decide
from brain.means import Means
from brain.question import Question
from brain.state import BrainState

Graph = CompiledStateGraph[BrainState, Means, BrainState, BrainState]
Step = Callable[[BrainState, Means], Awaitable[BrainState]]
LIMIT = 200
"""Far above what `brain_max_iterations` allows: the steps stop themselves, with a reason."""


def build_graph() -> Graph:
    """The compiled loop; one serves every message, each with its own `Means` as context."""
    builder = StateGraph(BrainState, context_schema=Means)
    for step in (decide, steps.choose, steps.invoke, steps.answer):
        builder.add_node(step.__name__, _node(step))
        builder.add_conditional_edges(step.__name__, _next, ["choose", "invoke", "answer", END])
    builder.add_edge(START, "decide")
    return builder.compile()


async def run_graph(graph: Graph, question: Question, means: Means) -> BrainState:
    """Answer one message.

    When the caller is cancelled, this returns only after the step that runs has ended. LangGraph is told once: a second
    cancel while it ends its steps makes it leave them running.
    """
    running = asyncio.create_task(_run(graph, question, means))
    try:
        return await asyncio.shield(running)
    finally:
        running.cancel()
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({running})


async def _run(graph: Graph, question: Question, means: Means) -> BrainState:
    config: RunnableConfig = {"recursion_limit": LIMIT}
    return cast(BrainState, await graph.ainvoke(BrainState(question=question), context=means, config=config))


def _next(state: BrainState) -> str:
    return END if state["next"] == "end" else state["next"]


def _node(step: Step) -> Any:
    async def node(state: BrainState, runtime: Runtime[Means]) -> BrainState:
        return await step(state, runtime.context)

    return node
