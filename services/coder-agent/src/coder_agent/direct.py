"""Requests that came by no gateway: who asks, and the one audit row that each leaves.

with the service token ──> the gateway asks, for the user it names, and writes the row itself
without any ─────────────> the user `local`, on loopback (the guard refuses it elsewhere); the row is written here

What leaves no row: a body that is no request, and a service that is killed while a job runs.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from coder_agent.coding_job import StoredAnswer
from coder_agent.errors import NotThisUser
from kitty_core.audit import Facts, Recorder, Row, arguments_sha256, facts_of
from kitty_core.errors import BadRequest, KittyError
from kitty_core.service import has_service_token

Submitted = TypeVar("Submitted")
LOCAL = "local"
TOOL = "coding.generate"
HAZARD_CLASS = "low"
"""As in the shipped registry, which is the gateway's and not read here."""
USER_FIELDS = ("user_id", "userId")
CONVERSATION_FIELDS = ("conversation_id", "conversationId")


class Call:
    """One request. Without a row, which is for one that a service sent, it records nothing."""

    def __init__(self, row: Row | None, is_stopping: Callable[[], bool]) -> None:
        """`is_stopping`: whether jobs are cancelled because the service ends."""
        self._row = row
        self._is_stopping = is_stopping
        self._job_id: str | None = None

    def user_of(self, named: str | None) -> str | None:
        """For whom it is: `named` by a service, else the one user there is."""
        return named if self._row is None else LOCAL

    async def runs(self, job: Coroutine[Any, Any, StoredAnswer], job_id: str) -> StoredAnswer:
        """The answer of `job`; the row is there when it returns or raises."""
        self._job_id = job_id
        try:
            answer = await job
        except KittyError as error:
            await self._end(facts_of(error.status, {"error_code": error.code}))  # there is no job
            raise
        except asyncio.CancelledError:
            await self.leave()
            raise
        except BaseException:
            await self._end(Facts("error", "internal", job_id=job_id))
            raise
        await self._end(_facts(answer, job_id))
        return answer

    async def hands_in(self, job: Coroutine[Any, Any, Submitted]) -> Submitted:
        """What comes of handing a job in; a job that was taken leaves its row when it ends."""
        try:
            taken = await job
        except KittyError as error:
            await self.refuse(error)
            raise
        self.drop()
        return taken

    async def refuse(self, error: KittyError) -> None:
        """It was understood, and is not done."""
        await self._end(facts_of(error.status, {"error_code": error.code}))

    def drop(self) -> None:
        """It was no request that could be done: there is no row."""
        if self._row is not None:
            self._row.drop()

    async def leave(self) -> None:
        """Nobody waits for it any more; says nothing of a call that has ended."""
        reason = "service_stopped" if self._is_stopping() else "client_disconnected"
        await self._end(Facts("error", reason, job_id=self._job_id))

    async def _end(self, facts: Facts) -> None:
        if self._row is not None:
            await self._row.end(facts)


class DirectCalls:
    """Tells requests apart and begins their rows."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.is_stopping: Callable[[], bool] = lambda: False

    @property
    def rows_lost(self) -> int:
        """Rows that neither the database nor the disk took."""
        return self._recorder.rows_lost

    async def begin(self, request: Request) -> Call:
        """The call that `request`, whose body was read and is right, makes.

        Raises:
            NotThisUser: it came by no service and names another user than `local`; it has left its row.
        """
        if has_service_token(request):
            return Call(None, self.is_stopping)
        arguments = await request.json()
        row = self._row(request, arguments)
        if any(arguments.get(name) not in (None, LOCAL) for name in USER_FIELDS):
            error = NotThisUser(f"user_id has to be {LOCAL!r}, or to be left out.")
            await row.fail(error)
            raise error
        row.decision = "allowed"
        row.is_running = row.is_job = True
        return Call(row, self.is_stopping)

    def _row(self, request: Request, arguments: Mapping[str, Any]) -> Row:
        try:
            sha256, prompt = arguments_sha256(arguments), json.dumps(arguments)
        except RecursionError:
            raise BadRequest("body: nested too deep") from None
        named = [value for name in CONVERSATION_FIELDS if isinstance(value := arguments.get(name), str) and value]
        conversation = named[0] if named else None
        row = self._recorder.begin(TOOL, LOCAL, request.scope["request_id"], conversation, sha256, prompt)
        row.hazard_class = HAZARD_CLASS
        return row


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


def _facts(answer: StoredAnswer, job_id: str) -> Facts:
    if answer.problem is None:
        return facts_of(200, answer.body)
    return facts_of(answer.status, {"job_id": job_id, **answer.body, "error_code": answer.problem["code"]})
