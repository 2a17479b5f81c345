"""One audit row for each step of a call, however the step ends.

begin ──> Row ─┬─> end     the first `end` writes the row; a later one does nothing
               └─> drop    it was no call: nothing is written

The row is written in a thread, and goes on being written when the request is cancelled meanwhile. A program that ends
waits for rows whose work it has cancelled: `finish`.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any
from weakref import WeakSet

import structlog

from kitty_core.audit.facts import Facts
from kitty_core.audit.port import AuditSink, AuditSpoolFailed
from kitty_core.audit.records import Decision, Invocation, Status
from kitty_core.errors import KittyError

log = structlog.get_logger()
ENDED_WITHIN_SEC = 10.0
"""Work that is cancelled takes its time to stop what it has started."""


class Recorder:
    """Writes rows, and tells what was decided."""

    def __init__(
        self,
        audit: AuditSink,
        clock: Callable[[], float] = time.time,
        on_decision: Callable[[Decision], None] = lambda decision: None,
    ) -> None:
        """`clock`: seconds since the epoch; `on_decision` is told that of each row."""
        self._audit = audit
        self._clock = clock
        self._on_decision = on_decision
        self._writing: set[asyncio.Task[None]] = set()
        self._open: WeakSet[Row] = WeakSet()
        self.rows_lost = 0
        """Rows that neither the database nor the disk took."""

    def begin(
        self,
        tool: str,
        user_id: str,
        request_id: str,
        conversation_id: str | None,
        args_sha256: str | None,
        prompt: str | None = None,
    ) -> "Row":
        """A row whose time runs from now. As long as nothing else is said it says `blocked`.

        `prompt` is kept beside the row only where AUDIT_STORE_PROMPTS says so.
        """
        blank = Invocation(
            request_id,
            tool,
            user_id,
            "blocked",
            conversation_id=conversation_id or None,
            args_sha256=args_sha256,
            created_at=datetime.fromtimestamp(self._clock(), UTC),
        )
        row = Row(self, blank, prompt)
        self._open.add(row)
        return row

    async def write(self, invocation: Invocation, prompt: str | None) -> None:
        """Hands the row to the audit trail; returns when it is there (or spooled)."""
        self._on_decision(invocation.decision)
        task = asyncio.create_task(asyncio.to_thread(self._append, invocation, prompt))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        await asyncio.shield(task)

    async def finish(self) -> None:
        """Waits for rows that have begun, which their work ends, and for those that are being written."""
        ending = [asyncio.create_task(row.ended.wait()) for row in self._open if not row.ended.is_set()]
        if ending:
            _, late = await asyncio.wait(ending, timeout=ENDED_WITHIN_SEC)
            for task in late:
                task.cancel()
        await asyncio.gather(*self._writing)

    def _append(self, invocation: Invocation, prompt: str | None) -> None:
        try:
            self._audit.append(invocation, prompt)
        except KittyError as error:
            # What was done is done: the caller gets the answer, /healthz and the log say what is missing.
            self.rows_lost += isinstance(error, AuditSpoolFailed)
            log.error("audit_row_lost", code=error.code, tool=invocation.tool, row=invocation.id)


class Row:
    """What is known so far of one step."""

    def __init__(self, recorder: Recorder, blank: Invocation, prompt: str | None) -> None:
        self._recorder = recorder
        self._blank = blank
        self._prompt = prompt
        self._begun = time.perf_counter()
        self.ended = asyncio.Event()
        self.decision: Decision = "blocked"
        self.is_running = False
        """Whether a service was asked: then there is a status."""
        self.hazard_class: str | None = None
        self.tool = blank.tool
        """The name in the registry, once it is known."""
        self.job_id: str | None = None
        """The job that the call becomes, where that is known before there is an answer."""
        self.is_job = False
        """Whether a job's own id counts: only the coder-agent's, or any service could keep a row from being written."""

    @property
    def args_sha256(self) -> str | None:
        """Of the arguments, as the row was begun with it."""
        return self._blank.args_sha256

    async def end(self, facts: Facts | None = None, *, error: str | None = None, status: Status | None = None) -> None:
        """Writes the row with what the answer says (`facts`), or with the kind of failure."""
        if self.ended.is_set():
            return
        self.ended.set()
        said: dict[str, Any] = asdict(facts) if facts is not None else {"status": status, "error": error}
        named = said.pop("job_id", None)
        said["job_id"] = (named if self.is_job else None) or self.job_id
        said |= {"tool": self.tool, "decision": self.decision, "hazard_class": self.hazard_class}
        said["latency_ms"] = round((time.perf_counter() - self._begun) * 1000)
        await self._recorder.write(replace(self._blank, **said), self._prompt)

    def drop(self) -> None:
        """It was no call after all: nothing is written."""
        self.ended.set()

    async def fail(self, error: KittyError) -> None:
        """Writes the row of a step that `error` ended."""
        status: Status | None = None
        if self.is_running:
            status = "timeout" if error.status == 504 else "error"
        await self.end(error=error.code, status=status)
