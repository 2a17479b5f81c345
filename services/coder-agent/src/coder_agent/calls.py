"""Who asks for a job, and what its audit row will say.

with the service token ──> the gateway asks, for the user it names; it says as well what it has decided
without any ─────────────> the user `local`, on loopback (the guard refuses it elsewhere)

A job leaves its row when it ends (`audit_rows`). What is refused before there is a job leaves one here, where no
gateway asked. What leaves no row: a body that is no request.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from coder_agent.errors import NotThisUser
from coder_agent.runner import Ids
from kitty_core.audit import Facts, Recorder, Row, arguments_sha256, facts_of
from kitty_core.audit.records import ID, Decision
from kitty_core.errors import BadRequest, KittyError
from kitty_core.service import has_service_token

AT_ONCE_COMING_IN = 2
LOCAL = "local"
HAZARD_CLASS = "low"
"""As in the shipped registry, which is the gateway's and not read here."""
DECISIONS: tuple[Decision, ...] = ("allowed", "confirmed")
USER_FIELDS = ("user_id", "userId")
CONVERSATION_FIELDS = ("conversation_id", "conversationId")


@dataclass(frozen=True)
class Note:
    """What is known of a job's audit row before the job has ended."""

    tool: str
    decision: Decision
    hazard_class: str | None
    args_sha256: str | None


class Call:
    """One request. `note` is "" where somebody else writes the row of its job."""

    def __init__(self, row: Row | None, note: Note | None, job_id: str) -> None:
        self._row = row
        self.note = json.dumps(asdict(note)) if note is not None else ""
        self.job_id = job_id

    def ids(self, request: Request, named: str | None, conversation_id: str | None) -> Ids:
        """What the job is known by. It is for the user `named` by a service, else for the one user there is."""
        user_id = named if self._row is None else LOCAL
        return Ids(self.job_id, request.scope["request_id"], conversation_id, user_id)

    async def refuse(self, error: KittyError) -> None:
        """It was understood, and is not done."""
        await self._end(facts_of(error.status, {"error_code": error.code}))

    def drop(self) -> None:
        """It was no request that could be done, or it is a job now."""
        if self._row is not None:
            self._row.drop()

    async def leave(self) -> None:
        """Nobody waits for it any more; says nothing of a call that has become a job."""
        await self._end(Facts("error", "client_disconnected"))

    async def _end(self, facts: Facts) -> None:
        if self._row is not None:
            await self._row.end(facts)


class Calls:
    """Tells requests apart."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.entry = asyncio.Semaphore(AT_ONCE_COMING_IN)
        """Held while a request is read, so that many at once leave time for others, such as /healthz."""

    @property
    def rows_lost(self) -> int:
        """Rows that neither the database nor the disk took."""
        return self._recorder.rows_lost

    async def begin(self, request: Request, tool: str) -> Call:
        """The call of `tool` that `request`, whose body was read and is right, makes.

        Raises:
            NotThisUser: it came by no service and names another user than `local`; it has left its row.
        """
        if has_service_token(request):
            return _of_the_gateway(request.headers, tool)
        arguments = await request.json()
        sha256, row = self._begun(request, tool, arguments)
        if any(arguments.get(name) not in (None, LOCAL) for name in USER_FIELDS):
            error = NotThisUser(f"user_id has to be {LOCAL!r}, or to be left out.")
            await row.fail(error)
            raise error
        row.decision = "allowed"
        row.is_running = True
        return Call(row, Note(tool, "allowed", HAZARD_CLASS, sha256), uuid4().hex)

    def _begun(self, request: Request, tool: str, arguments: Mapping[str, Any]) -> tuple[str, Row]:
        try:
            sha256, prompt = arguments_sha256(arguments), json.dumps(arguments)
        except RecursionError:
            raise BadRequest("body: nested too deep") from None
        named = [value for name in CONVERSATION_FIELDS if isinstance(value := arguments.get(name), str) and value]
        conversation = named[0] if named else None
        row = self._recorder.begin(tool, LOCAL, request.scope["request_id"], conversation, sha256, prompt)
        row.hazard_class = HAZARD_CLASS
        return sha256, row


class Events(StreamingResponse):
    """Server-sent events of a call, whose row is written also where the reader goes before the first one."""

    def __init__(self, frames: AsyncIterator[str], call: Call) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(frames, media_type="text/event-stream", headers=headers)
        self._call = call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._call.leave()


def _of_the_gateway(headers: Mapping[str, str], tool: str) -> Call:
    """A gateway that says what it has decided leaves the row of the job to the job."""
    named = headers.get("x-kitty-job-id", "")
    job_id = named if ID.fullmatch(named) else uuid4().hex
    told = headers.get("x-kitty-decision")
    decision = next((one for one in DECISIONS if one == told), None)
    if decision is None:
        return Call(None, None, job_id)
    hazard_class, sha256 = headers.get("x-kitty-hazard-class"), headers.get("x-kitty-args-sha256")
    return Call(None, Note(tool, decision, hazard_class, sha256), job_id)
