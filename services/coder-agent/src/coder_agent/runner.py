"""One job from its state to its answer: runs the graph under its deadline, passes events on, and turns what happened
into the response of the contract.
"""

import asyncio
import difflib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from coder_agent.backends import Backends
from coder_agent.conversations import Conversations
from coder_agent.errors import (
    DeadlineBeforeCode,
    ModelAnsweredNonsense,
    ModelIsUnavailable,
    PromptTooLong,
    SandboxIsUnavailable,
)
from coder_agent.follow_ups import continued, remembered
from coder_agent.gathering import evidence_of
from coder_agent.graph import build_graph, run_graph
from coder_agent.journal import Journal, folder_of
from coder_agent.means import Means
from coder_agent.metrics import Metrics
from coder_agent.recording import record
from coder_agent.settings import Settings
from coder_agent.state import CodingState, Report, Task, Verdict
from coder_agent.verdict import best_so_far
from coder_agent.wording import write_summary
from kitty_core.errors import KittyError
from kitty_core.leaving import CallerIsGone
from kitty_llm import ContextOverflow, LLMError, ModelUnavailable, Stalled, Unauthorized, Usage
from kitty_sandbox import Sandbox, SandboxUnavailable

log = structlog.get_logger()
CORRECTIONS = ("refine", "repair")
Listener = Callable[[dict[str, Any]], None]
Keep = Callable[[CodingState], Awaitable[None]]


@dataclass(frozen=True)
class Ids:
    """What a job is known by."""

    job_id: str
    request_id: str | None = None
    conversation_id: str | None = None
    user_id: str | None = None


@dataclass(frozen=True)
class Answer:
    """What the caller gets: the response, and the error where there is no verdict to give."""

    body: Mapping[str, Any]
    error: KittyError | None = None


@dataclass
class Progress:
    """How far a job has come; kept outside the graph so that a cut-off job still has its best code."""

    state: CodingState
    seconds_before: float = 0.0
    """Between its first step and now, where it goes on."""
    seconds_left: float | None = None
    """Until its deadline."""
    started: float = field(default_factory=time.perf_counter)

    @property
    def goes_on(self) -> bool:
        """Whether it has finished a step before."""
        return "reading" in self.state

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return self.seconds_before + time.perf_counter() - self.started


class Runner:
    """Runs jobs; any number at once."""

    def __init__(self, backends: Backends, sandbox: Sandbox, settings: Settings, metrics: Metrics) -> None:
        self._backends = backends
        self._sandbox = sandbox
        self._settings = settings
        self._metrics = metrics
        self._journal = Journal(folder_of(settings.coder_evidence_dir, "evidence"), settings.coder_evidence_kept)
        self._conversations = Conversations(
            folder_of(settings.coder_conversations_dir, "conversations"), settings.coder_conversations_kept
        )
        self._graph = build_graph()

    async def run(self, progress: Progress, ids: Ids, listener: Listener, keep: Keep) -> Answer:
        """Run one job to its end, or go on with it.

        Cancelling the call stops the model and the sandbox, and only then does it return.

        Args:
            progress: is kept up to date, so that `cancelled` knows what there is.
            listener: called with every event of the contract but the last (`complete` or `error`), in order.
            keep: awaited with the state after each step.

        Raises:
            KittyError: there is no code to answer with.
        """
        if progress.goes_on:
            listener({"type": "resumed", "jobId": ids.job_id})
        else:
            task = progress.state["task"]
            earlier = await asyncio.to_thread(self._conversations.recall, ids.user_id, ids.conversation_id)
            if earlier is not None and task.given is None:
                progress.state = CodingState(task=await asyncio.to_thread(continued, task, earlier))
            listener({"type": "started", "sessionId": ids.conversation_id or ids.job_id, "jobId": ids.job_id})
        outcome = "internal"
        try:
            answer = await self._answer(progress, ids, listener, keep)
            outcome = str(answer.body.get("verdict") or (answer.error.code if answer.error else "internal"))
            await self._remember(progress.state["task"], ids, answer)
        except KittyError as error:
            outcome = error.code
            raise
        except asyncio.CancelledError:
            outcome = ""
            raise
        finally:
            if outcome:
                self._leave(ids, progress, outcome)
        return answer

    def cancelled(self, progress: Progress, ids: Ids) -> Answer:
        """The answer of a job whose run was cancelled for good: what code there is, nothing claimed."""
        self._leave(ids, progress, "cancelled")
        error = CallerIsGone("The job was cancelled.")
        report = _unfinished(progress.state, "cancelled", error.message)
        return Answer(self._body(ids, progress, report) if report else {}, error)

    async def _remember(self, task: Task, ids: Ids, answer: Answer) -> None:
        if code := answer.body["code"]:
            latest = remembered(task, code)
            await asyncio.to_thread(self._conversations.remember, ids.user_id, ids.conversation_id, latest)

    async def _answer(self, progress: Progress, ids: Ids, listener: Listener, keep: Keep) -> Answer:
        task = progress.state["task"]
        error: KittyError | None = None
        try:
            async with asyncio.timeout(progress.seconds_left) as deadline, self._backends.job(task.model):
                await self._follow(progress, listener, keep)
        except TimeoutError:
            if not deadline.expired():
                raise
            passed = f"The deadline of {task.deadline_sec:g} s passed before"
            broken_off = _unfinished(progress.state, "budget_exhausted", f"{passed} a verdict was reached.")
            report = progress.state.get("report") or broken_off
            if report is None:
                raise DeadlineBeforeCode(f"{passed} the model had written any code.") from None
        except LLMError as failure:
            error = _model_error(failure)
            verdict: Verdict = "model_unavailable" if isinstance(error, ModelIsUnavailable) else "not_verified"
            report = _unfinished(progress.state, verdict, error.message)
        except SandboxUnavailable as failure:
            error = SandboxIsUnavailable(str(failure))
            report = _unfinished(progress.state, "sandbox_unavailable", error.message)
        else:
            report = progress.state["report"]
        if report is None:
            raise error or KittyError("The job ended without an answer.")
        return Answer(self._body(ids, progress, report), error)

    async def _follow(self, progress: Progress, listener: Listener, keep: Keep) -> None:
        task = progress.state["task"]
        means = Means(
            writer=self._backends.roles.start_job(task.model),
            sandbox=self._sandbox,
            settings=self._settings,
            emit=listener,
            observe=lambda step, seconds: self._metrics.step_seconds.labels(step=step).observe(seconds),
        )

        async def on_state(state: CodingState) -> None:
            progress.state = state
            if progress.goes_on:
                await keep(state)

        await run_graph(self._graph, progress.state, means, on_state)

    def _body(self, ids: Ids, progress: Progress, report: Report) -> dict[str, Any]:
        state = progress.state
        task = state["task"]
        chosen = next((c for c in state.get("candidates", ()) if c.code == report.code), None)
        summary = state.get("summary") or write_summary(task, report)
        return {
            "code": report.code,
            "tests": report.tests,
            "test_code": report.tests,
            "passed": report.passed,
            "tests_passed": report.passed,
            "success": report.passed,
            "final_answer": summary,
            "summary": summary,
            "plan": state.get("plan"),
            "run_stdout": report.stdout,
            "run_stderr": report.stderr,
            "test_output": report.test_output,
            "refinement_count": sum(c.origin in CORRECTIONS for c in state.get("candidates", ())),
            "error": report.error,
            "job_id": ids.job_id,
            "request_id": ids.request_id,
            "conversation_id": ids.conversation_id,
            "verdict": report.verdict,
            "evidence": dict(report.evidence),
            "confidence": report.confidence,
            "verdict_strength": report.verdict_strength,
            "code_sha256": chosen.sha256 if chosen else None,
            "usage": _usage(state.get("usage", {}), progress.seconds),
            "model": chosen.model if chosen else None,
            "model_sha256": chosen.model_sha256 if chosen else None,
            "files": {task.module: report.code} if report.code not in ("", task.given) else {},
            "diff": None if task.given is None else _diff(task.given, report.code, task.module),
            "module": task.module,
            "tier": task.tier,
            "sandbox_tier": report.sandbox_tier,
        }

    def _leave(self, ids: Ids, progress: Progress, outcome: str) -> None:
        seconds = progress.seconds
        self._count(progress.state, outcome, seconds)
        if progress.state.get("candidates") and progress.state["task"].given is None:  # `eval replay` is for others
            evidence = evidence_of(progress.state)
            self._journal.save(record(ids.job_id, progress.state, evidence))
        log.info("job_finished", job_id=ids.job_id, verdict=outcome, seconds=round(seconds, 2))

    def _count(self, state: CodingState, outcome: str, seconds: float) -> None:
        metrics = self._metrics
        metrics.requests.labels(verdict=outcome).inc()
        metrics.latency.observe(seconds)
        metrics.generation_seconds.observe(seconds)
        metrics.generations.labels(status="success" if outcome == "verified" else "failure").inc()
        metrics.tests_passed.labels(result="true" if outcome == "verified" else "false").inc()
        metrics.refinements.inc(sum(c.origin in CORRECTIONS for c in state.get("candidates", ())))
        metrics.candidates.observe(len(state.get("candidates", ())))
        used = sum(state.get("usage", {}).values(), Usage())
        for kind, count in (
            ("prefill", used.prefill_tokens),
            ("cached", used.cached_tokens),
            ("completion", used.completion_tokens),
        ):
            metrics.tokens.labels(kind=kind).inc(count)


def _unfinished(state: CodingState, verdict: Verdict, message: str) -> Report | None:
    """What there is when the time was up or the model or the sandbox failed: the best code so far, nothing claimed."""
    if "reading" not in state:
        return None
    return best_so_far(state["task"], state["reading"], state["suite"], evidence_of(state), verdict, message)


def _model_error(failure: LLMError) -> KittyError:
    match failure:
        case ContextOverflow():
            return PromptTooLong(str(failure), tokens_over=failure.tokens_over, n_ctx=failure.n_ctx)
        case ModelUnavailable():
            return ModelIsUnavailable(str(failure), urls_tried=list(failure.urls_tried))
        case Unauthorized() | Stalled():
            return ModelIsUnavailable(str(failure))
        case _:
            return ModelAnsweredNonsense(str(failure))


def _diff(before: str, after: str, module: str) -> str:
    lines = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return "".join(difflib.unified_diff(*lines, f"a/{module}", f"b/{module}"))


def _usage(steps: Mapping[str, Usage], seconds: float) -> dict[str, Any]:
    total = sum(steps.values(), Usage())
    return {
        "prefill_tokens": total.prefill_tokens,
        "cached_tokens": total.cached_tokens,
        "completion_tokens": total.completion_tokens,
        "calls": total.calls,
        "total_seconds": round(seconds, 3),
        "seconds": {step: round(used.seconds, 3) for step, used in steps.items()},
    }
