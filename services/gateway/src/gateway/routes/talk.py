"""A person's message: to the call that waits for it, or to the brain.

message ─> does a call of this user wait in this conversation? ─┬─ and the message is its phrase, or cancels ─> Replies
                                                               └─ no, or it is something else ─────────────> brain

The override word is taken out before anybody sees the message. The phrase of a call that waits is put into the answer
of the brain, which is not told it: only a person is.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, contextmanager, suppress
from typing import Any

import httpx
import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.auth import Caller
from gateway.door import Done
from gateway.errors import DatabaseIsAway, NotThisUser, ServiceAnsweredBadly, ServiceIsTooSlow
from gateway.frames import EVENTS, edited
from gateway.overrides import Overrides
from gateway.passage import Passage, Passing, no_row
from gateway.proxy import Upstreams
from gateway.replies import Cancelled, Replies, Reply
from gateway.routes.shapes import pending_shape, read_object
from gateway.routes.talk_answers import answer_of, exchange_of, told_of
from gateway.wish import CONVERSATION_FIELDS, USER_FIELDS, named_in
from gateway.wording import confirm_command
from kitty_core.errors import KittyError
from kitty_core.hazard import find_override
from kitty_core.leaving import CallerIsGone, Event, Gone, error_event, events_of, frame_of, gone_from, unless_gone
from kitty_core.wire import JsonResponse

log = structlog.get_logger()
Listener = Callable[[Event], None]
REMEMBERED_WITHIN_SEC = 1.0
MOST_BEHIND = 3
"""Words after a phrase that still make it a slip, where a call waits."""
MARK = b'"requiresConfirmation":true'
"""What a frame of the brain holds that says that a call waits."""


class Talk:
    """Answers messages."""

    def __init__(
        self, upstreams: Upstreams, replies: Replies, overrides: Overrides, override_word: str, deadline_sec: float
    ) -> None:
        self._upstreams = upstreams
        self._replies = replies
        self._overrides = overrides
        self._word = override_word
        self._deadline_sec = deadline_sec

    async def answer(self, request: Request, caller: Caller, path: str) -> Response:
        """The answer of the call that waited, or of the brain.

        Raises:
            KittyError: the message was refused, or nobody answered.
        """
        body = await read_object(request)
        for name in USER_FIELDS:
            if body.get(name) not in (None, caller.user_id):
                raise NotThisUser(f"{name} has to be {caller.user_id!r}, or to be left out.")
        if (reply := await self._reply(request, caller, body)) is not None:
            return await self._replied(request, reply, body.get("intent"), streams=path.endswith("/stream"))
        if (slip := await self._slipped(request, caller, body)) is not None:
            return _said(slip, streams=path.endswith("/stream"))
        has_word, told = without_word(body, self._word)
        told["userId"] = caller.user_id
        request_id = request.scope["request_id"]
        counts = has_word and caller.surface == "human"
        given = self._overrides.given(request_id, caller.user_id) if counts else None
        return await self.relayed(request, caller, path, told, given)

    async def _reply(self, request: Request, caller: Caller, body: dict[str, Any]) -> Reply | None:
        """The message as a reply to a call that waits in its conversation; None where it is none.

        Raises:
            DatabaseIsAway: it could be one.
        """
        message, conversation = message_of(body), named_in(body, CONVERSATION_FIELDS)
        if caller.surface != "human" or not conversation:
            return None
        request_id = request.scope["request_id"]
        try:
            call = await self._replies.meant_by(message, caller, conversation, request_id)
        except DatabaseIsAway:
            if self._replies.may_be_meant(message):
                raise
            return None
        return None if call is None else Reply(call.id, message, caller, request_id, conversation)

    async def _slipped(self, request: Request, caller: Caller, body: dict[str, Any]) -> dict[str, Any] | None:
        """The answer to what is nearly a phrase, or one that nothing waits for: no model makes anything of it."""
        message, conversation = message_of(body), named_in(body, CONVERSATION_FIELDS) or ""
        if caller.surface != "human" or not self._replies.is_nearly_meant(message, MOST_BEHIND):
            return None
        whose = (caller.user_id, conversation)
        waiting = [c for c in await self._replies.waiting(caller) if (c.user_id, c.conversation_id) == whose]
        if waiting:
            call = waiting[-1]
            await self._replies.note_slip(call, caller, request.scope["request_id"])
            words = f"That is not the phrase; nothing was run, and {call.tool} still waits."
            return told_of(words, conversation, body.get("intent")) | pending_shape(call, caller)
        if not self._replies.is_nearly_meant(message, 0):
            return None
        words = f"Nothing waits for that in this conversation; nothing was run. `{confirm_command()}` lists what waits."
        return told_of(words, conversation, body.get("intent"))

    async def _replied(self, request: Request, reply: Reply, intent: object, *, streams: bool) -> Response:
        if not streams:
            return JsonResponse(await self._ended(reply, intent, gone_from(request.receive)))

        async def work(listener: Listener) -> dict[str, Any]:
            has_gone = asyncio.Event()

            async def gone() -> None:
                await has_gone.wait()

            ending = asyncio.create_task(self._ended(reply, intent, gone))
            try:
                answer = await asyncio.shield(ending)
            except asyncio.CancelledError:  # the reader left: the call ends as one that nobody waits for
                has_gone.set()
                with suppress(CallerIsGone):
                    await ending
                raise
            listener({"type": "step", **answer["routing"]["metadata"]["agent_steps"][0]})
            listener({"type": "delta", "delta": answer["result"]["output"]})
            return answer

        return StreamingResponse(events_of(work, _last_event), media_type=EVENTS)

    async def _ended(self, reply: Reply, intent: object, gone: Gone) -> dict[str, Any]:
        began = time.perf_counter()
        outcome = await self._replies.reply(reply, gone)
        assert isinstance(outcome, Done | Cancelled)  # the message was the phrase, or one that cancels
        await self._remember(reply, outcome)
        return answer_of(outcome, reply.conversation_id, intent, round((time.perf_counter() - began) * 1000))

    async def _remember(self, reply: Reply, outcome: Done | Cancelled) -> None:
        """Tells the brain what was said, for what is asked next. No answer waits for it long, or fails by it."""
        url = f"{self._upstreams.bases['brain']}/api/exchanges"
        headers = self._upstreams.headers_for(reply.caller, reply.request_id, {"content-type": "application/json"})
        content = json.dumps(exchange_of(reply, outcome)).encode()
        try:
            async with asyncio.timeout(REMEMBERED_WITHIN_SEC), self._upstreams.open("POST", url, headers, content):
                pass
        except (KittyError, httpx.HTTPError, TimeoutError) as error:
            log.warning("exchange_not_remembered", reason=type(error).__name__)

    async def relayed(
        self,
        request: Request,
        caller: Caller,
        path: str,
        body: dict[str, Any] | None = None,
        while_it_runs: AbstractContextManager[None] | None = None,
    ) -> Response:
        """The brain's answer as it comes; without a body its answer to a GET."""
        url = f"{self._upstreams.bases['brain']}{path}"
        headers = self._upstreams.headers_for(caller, request.scope["request_id"], request.headers)
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        until = asyncio.get_running_loop().time() + self._deadline_sec
        async with AsyncExitStack() as held:
            if while_it_runs is not None:
                held.enter_context(while_it_runs)
            with self._told_as_problems(url):
                opening = self._upstreams.open("GET" if content is None else "POST", url, headers, content)
                response, whole = await unless_gone(_opened(held, opening, until), gone_from(request.receive))
                if whole is not None:
                    return await self._answered(json.loads(whole), response.status_code, caller)
                pieces = edited(response.aiter_raw(), MARK, lambda event: self._add_phrase(event.get("result"), caller))
                # What the brain calls comes through the door and gets its own rows.
                return Passing(Passage(response, held.pop_all(), until, no_row, pieces))

    @contextmanager
    def _told_as_problems(self, url: str) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise ServiceIsTooSlow("brain did not answer in time.", service="brain") from None
        except httpx.HTTPError as error:
            raise self._upstreams.failure(url, error) from error
        except ValueError:
            raise ServiceAnsweredBadly("brain answered with something that is no JSON.") from None

    async def _answered(self, answer: Any, status: int, caller: Caller) -> Response:
        await self._add_phrase(answer, caller)
        return JsonResponse(answer, status_code=status)

    async def _add_phrase(self, answer: Any, caller: Caller) -> None:
        """Into the answer of a brain that says that a call of this person waits."""
        if not isinstance(answer, dict) or not answer.get("requiresConfirmation") or caller.surface != "human":
            return
        try:
            waiting = await self._replies.waiting(caller)
        except DatabaseIsAway:
            return
        own = (call for call in waiting if call.id == answer.get("pendingId") and call.user_id == caller.user_id)
        for call in own:
            answer |= pending_shape(call, caller)


def _said(answer: dict[str, Any], *, streams: bool) -> Response:
    if streams:
        return Response(frame_of({"type": "complete", "result": answer}), media_type=EVENTS)
    return JsonResponse(answer)


def message_of(body: dict[str, Any]) -> str:
    """What is said: `prompt`, or `payload.prompt`."""
    payload = body.get("payload")
    prompt = body.get("prompt") or (payload.get("prompt") if isinstance(payload, dict) else None)
    return prompt if isinstance(prompt, str) else ""


def without_word(body: dict[str, Any], word: str) -> tuple[bool, dict[str, Any]]:
    """Whether the override word is in the message, and the body without it: only that goes on."""
    was_there, rest = find_override(message_of(body), word)
    if not was_there:
        return False, dict(body)
    payload = body.get("payload")
    if isinstance(payload, dict) and "prompt" in payload:
        return True, {**body, "prompt": rest, "payload": {**payload, "prompt": rest}}
    return True, {**body, "prompt": rest}


async def _opened(
    held: AsyncExitStack, opening: AbstractAsyncContextManager[httpx.Response], until: float
) -> tuple[httpx.Response, bytes | None]:
    async with asyncio.timeout_at(until):
        response = await held.enter_async_context(opening)
        is_stream = response.headers.get("content-type", "").startswith(EVENTS)
        return response, None if is_stream else await response.aread()


def _last_event(task: "asyncio.Task[dict[str, Any]]") -> Event:
    try:
        return {"type": "complete", "result": task.result()}
    except Exception as error:  # noqa: BLE001 - the stream has begun
        return error_event(error)
