"""The one door: whoever calls a tool, by whatever route, comes through `Door.invoke`.

arguments fit? ─> hazard (kitty_core.hazard.judge) ─┬─> the tool's service ─> answer     one audit row
      │                                             ├─> kept until a person confirms     one audit row
      └────────── refused ──────────────────────────┴─> refused                          one audit row

What it stops: a tool that is unknown, switched off or too dangerous for the caller; a dangerous one before a person
said the phrase; a call in another user's name. What it does not stop: a service that does more than its registry entry
says. A job writes its row itself, at its end; the second row of a job is not written. A gateway that is killed while
another service works leaves no row of that call.
"""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from gateway.commands import BrokerCommands, Command
from gateway.confirmations import Confirmations, PendingCall
from gateway.errors import (
    ArgumentsAreWrong,
    ServiceAnsweredBadly,
    ServiceIsTooSlow,
    ToolIsBlocked,
    UnknownTool,
)
from gateway.passage import Passage
from gateway.proxy import OF_A_JOB, Upstreams, passed_on, whole_of
from gateway.settings import Settings
from gateway.wish import Wish, check, completed, conversation_of, places, row_name, seconds_of
from kitty_core.audit import arguments_sha256
from kitty_core.audit.facts import Facts, facts_of
from kitty_core.audit.recorder import Recorder, Row
from kitty_core.errors import KittyError
from kitty_core.hazard import Call, Decision, judge
from kitty_core.leaving import CallerIsGone, Gone, unless_gone
from kitty_core.registry import LiveRegistry, backing_url
from kitty_core.tools import Tool
from kitty_core.wire import from_json


@dataclass(frozen=True)
class Waiting:
    """Nothing was run: a person has to confirm."""

    call: PendingCall
    reason: str


@dataclass(frozen=True)
class Done:
    """The service's answer, as a whole."""

    tool: str
    decision: Literal["allowed", "confirmed"]
    facts: Facts
    status_code: int
    headers: list[tuple[bytes, bytes]]
    content: bytes
    body: Any
    """`content` as JSON; None where it is none."""


class Door:
    """Checks, calls, records."""

    def __init__(
        self,
        live: LiveRegistry,
        upstreams: Upstreams,
        commands: BrokerCommands,
        confirmations: Confirmations,
        recorder: Recorder,
        settings: Settings,
    ) -> None:
        self._live = live
        self._upstreams = upstreams
        self._commands = commands
        self._confirmations = confirmations
        self._recorder = recorder
        self._settings = settings
        self._own_hosts = frozenset({settings.kitty_bind.lower()}) | settings.allowed_hosts
        self._backing = {f"/api/{prefix}": upstreams.bases[name] for prefix, name in BACKING.items()}
        self._backing |= {path: upstreams.bases["broker"] for path in ("/exec", "/commands")}

    def url_of(self, tool: Tool) -> str:
        """Where the tool is: never at the gateway itself.

        Raises:
            ConfigurationError: its entry points at the gateway, and nothing is behind that path.
        """
        port = self._settings.gateway_port
        # On these names other services may listen as well: they are the gateway's only together with its port.
        names = {"gateway"} | (self._own_hosts if urlsplit(tool.url).port == port else set())
        return backing_url(tool.url, names=names, port=port, backing=self._backing)

    @property
    def phrases(self) -> set[str]:
        """What confirms one tool or another."""
        return {self._phrase_of(tool) for tool in self._live.current.tools.values()}

    def row_name(self, call: PendingCall) -> str:
        """What the audit rows of a call that waits, or waited, call it."""
        tool = self._live.current.find(call.tool)
        return call.tool if tool is None else row_name(tool, call.arguments)

    def _phrase_of(self, tool: Tool) -> str:
        return tool.confirmation_phrase or self._settings.hazard_confirmation_phrase

    async def invoke(self, wish: Wish, gone: Gone) -> Waiting | Done | Passage:
        """Makes the call, if it may be made. Exactly one row is written, at the latest when a `Passage` ends.

        Raises:
            KittyError: it was refused, or the service gave no answer.
        """
        conversation = conversation_of(wish)
        sha256 = arguments_sha256(wish.arguments)
        prompt = json.dumps(wish.arguments)
        row = self._recorder.begin(wish.tool, wish.caller.user_id, wish.request_id, conversation, sha256, prompt)
        try:
            decision, tool = await self._judged(wish, row)
            if decision.kind == "needs_confirmation":
                return await self._kept(wish, tool, decision, row, conversation or "", sha256)
            row.decision = "confirmed" if wish.confirmed else "allowed"
            row.is_running = True
            return await self._called(wish, tool, row, gone)
        except KittyError as error:
            await row.fail(error)
            raise
        except BaseException as error:  # a fault of ours, or the gateway stops: the row says so, then it goes on
            is_stop = isinstance(error, asyncio.CancelledError)
            await row.end(error="gateway_stopped" if is_stop else "internal", status="error")
            raise

    async def _judged(self, wish: Wish, row: Row) -> tuple[Decision, Tool]:
        """The decision, and the tool it is about. Raises: KittyError: refused."""
        registry = self._live.current
        tool = registry.find(wish.tool)
        if tool is None:
            raise UnknownTool(f"There is no tool {wish.tool[:100]!r}; nothing was run.")
        row.tool, row.hazard_class = row_name(tool, wish.arguments), tool.hazard_class
        check(wish, tool)
        command = None
        if tool.hazard_from is not None and tool.enabled:
            command = await self._commands.find(str(wish.arguments.get(tool.hazard_from)), wish.request_id)
        call = Call(
            tool=tool.name,
            arguments=wish.arguments,
            user_id=wish.caller.user_id,
            conversation_id=conversation_of(wish),
            role=wish.caller.role,
            override_given=wish.override_given,
            confirmed=wish.confirmed,
            offline=self._settings.offline_mode,
            named_class=command.hazard_class if command else None,
        )
        decision = judge(registry, call)
        row.hazard_class = decision.hazard_class
        if decision.kind in ("blocked", "unknown"):
            raise ToolIsBlocked(decision.reason, rule=decision.rule)
        if tool.dual_confirm and not self._settings.hazard_signing_key:
            raise ToolIsBlocked(
                f"{tool.name} needs a signed approval, and HAZARD_SIGNING_KEY is not set.", rule="approval"
            )
        if decision.kind == "needs_confirmation" and command is not None:
            _check_args(command, wish.arguments.get("args"))
        return decision, tool

    async def _kept(
        self, wish: Wish, tool: Tool, decision: Decision, row: Row, conversation_id: str, sha256: str
    ) -> Waiting:
        call = PendingCall(
            tool=tool.name,
            arguments=wish.arguments,
            arguments_sha256=sha256,
            user_id=wish.caller.user_id,
            conversation_id=conversation_id,
            phrase=self._phrase_of(tool),
            hazard_class=decision.hazard_class or tool.hazard_class,
            dual_confirm=tool.dual_confirm,
            override_given=wish.override_given,
        )
        kept = await asyncio.to_thread(self._confirmations.keep, call)
        await row.end(error="needs_confirmation")
        return Waiting(kept, decision.reason)

    async def _called(self, wish: Wish, tool: Tool, row: Row, gone: Gone) -> Done | Passage:
        url = self.url_of(tool)
        if self._upstreams.name_of(url) == "coder-agent":
            row.is_job, row.job_id = True, uuid4().hex
        if wish.way != "whole":
            url = f"{url.rpartition('/')[0]}/{wish.way}"
        until = asyncio.get_running_loop().time() + seconds_of(wish, self._settings.gateway_deadline_sec)
        async with AsyncExitStack() as held:
            try:
                opening = self._opened(wish, tool, url, held, until, row)
                response, content = await unless_gone(opening, gone)
            except CallerIsGone:
                await row.end(error="client_disconnected", status="error")
                raise
            if content is None:
                return Passage(response, held.pop_all(), until, row.end)
        body = _json(content)
        facts = facts_of(response.status_code, body)
        if body is None:
            name = self._upstreams.name_of(url)
            raise ServiceAnsweredBadly(f"{name} answered {tool.name} with {response.status_code} and no JSON.")
        if wish.way == "jobs" and response.is_success:
            row.drop()  # the job's own row is written when it ends
        if facts.job_id is None and response.status_code < 500:
            row.job_id = None  # it was refused: there is no job
        await row.end(facts)
        headers = passed_on(response.headers.multi_items())
        decision: Literal["allowed", "confirmed"] = "confirmed" if wish.confirmed else "allowed"
        return Done(tool.name, decision, facts, response.status_code, headers, content, body)

    async def _opened(
        self, wish: Wish, tool: Tool, url: str, held: AsyncExitStack, until: float, row: Row
    ) -> tuple[httpx.Response, bytes | None]:
        """The service's answer with its whole content; with None where it is a stream, which `held` keeps open."""
        name = self._upstreams.name_of(url)
        headers = self._upstreams.headers_for(wish.caller, wish.request_id, wish.headers) | _of_a_job(row)
        query, content = "", None
        if tool.method in ("GET", "DELETE"):
            query = str(httpx.QueryParams({key: _in_query(value) for key, value in wish.arguments.items()}))
        else:
            content = json.dumps(completed(wish, is_ours=name in self._upstreams.bases)).encode()
            headers["Content-Type"] = "application/json"
        try:
            async with asyncio.timeout_at(until):
                opening = self._upstreams.open(tool.method, url, headers, content, query)
                response = await held.enter_async_context(opening)
                if wish.way == "stream" and response.headers.get("content-type", "").startswith("text/event-stream"):
                    return response, None
                return response, await whole_of(response, name)
        except TimeoutError:
            raise ServiceIsTooSlow(f"{name} did not finish {tool.name} in time.", service=name) from None
        except httpx.HTTPError as error:
            raise self._upstreams.failure(url, error) from error


def _of_a_job(row: Row) -> dict[str, str]:
    """What a job has to know to write its row itself, so that it is written whatever happens to this program."""
    if row.job_id is None:
        return {}
    values = (row.job_id, row.decision, row.hazard_class or "", row.args_sha256 or "")
    return dict(zip(OF_A_JOB, values, strict=True))


BACKING = {"coding": "coder-agent", "memory": "memory", "query": "brain"}
"""What is behind the gateway's own /api paths."""


def _in_query(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _check_args(command: Command, args: object) -> None:
    """A person is not asked about a call that could not run. Raises: ArgumentsAreWrong."""
    if problems := command.problems(args):
        raise ArgumentsAreWrong(f"{command.name}: {'; '.join(problems)}", errors=places(problems))


def _json(content: bytes) -> Any:
    try:
        return from_json(content)
    except (ValueError, RecursionError):
        return None
