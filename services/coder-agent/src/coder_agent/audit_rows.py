"""The audit row of a job that has ended: one for each time it ended, written at least once, kept once."""

import json
from datetime import UTC, datetime

from coder_agent.calls import LOCAL, Note
from coder_agent.coding_job import stored_answer
from coder_agent.engine.records import Job
from kitty_core.audit import Facts, Invocation, Recorder, facts_of


async def write_row(recorder: Recorder, job: Job, left_because: str) -> None:
    """Hands the row of `job` to the audit trail; does nothing where somebody else writes it.

    Args:
        left_because: why a job was cancelled that somebody waited for.
    """
    if job.note:
        await recorder.write(row_of(job, left_because), job.body)


def row_of(job: Job, left_because: str) -> Invocation:
    """What is said of the job. A job that was resumed has a row for each of its ends."""
    note, facts = Note(**json.loads(job.note)), _facts(job, left_because)
    return Invocation(
        request_id=job.request_id or job.id,
        tool=note.tool,
        user_id=job.user_id or LOCAL,
        decision=note.decision,
        status=facts.status,
        job_id=job.id if job.resumes == 0 else f"{job.id}.{job.resumes + 1}",
        conversation_id=job.conversation_id,
        args_sha256=note.args_sha256,
        hazard_class=note.hazard_class,
        verdict=facts.verdict,
        tests_passed=facts.tests_passed,
        refinements=facts.refinements,
        latency_ms=round(1000 * ((job.finished_at or job.created_at) - job.created_at)),
        model=facts.model,
        model_sha256=facts.model_sha256,
        sandbox_tier=facts.sandbox_tier,
        code_sha256=facts.code_sha256,
        error=facts.error,
        created_at=datetime.fromtimestamp(job.created_at, UTC),
    )


def _facts(job: Job, left_because: str) -> Facts:
    answer = stored_answer(job)
    if answer.problem is None:
        return facts_of(answer.status, answer.body)
    if job.status == "cancelled":
        return Facts("error", left_because if job.is_attached else "cancelled", verdict="cancelled")
    return facts_of(answer.status, {**answer.body, "error_code": answer.problem["code"]})
