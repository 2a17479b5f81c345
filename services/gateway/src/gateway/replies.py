"""What a person says to a call that waits.

reply ─> theirs? this conversation? in time? not decided? ─> read_reply(this message, phrase)
            ├─ confirm ─> taken once ─> Door.invoke, with the original arguments
            ├─ cancel ──> taken once
            └─ neither ─> it stays as it is

dual-confirm: a second person says the phrase (`approve`) and gets a signed approval, which the first one hands in.

Every step writes a row. Only the message at hand counts; no history is looked at.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.auth import Caller
from gateway.confirmations import Confirmations, PendingCall
from gateway.door import Done, Door, Waiting
from gateway.errors import (
    ConfirmationIsOver,
    ConfirmationIsRefused,
    ConfirmationIsUsed,
    NotFromAModel,
    UnknownConfirmation,
)
from gateway.passage import Passage
from gateway.wish import Wish
from gateway.wording import confirm_command
from kitty_core.audit.recorder import Recorder, Row
from kitty_core.confirmation import Approval, approve, is_second_person, read_reply
from kitty_core.errors import ConfigurationError, KittyError
from kitty_core.leaving import Gone


@dataclass(frozen=True)
class Reply:
    """One message of one person about one pending call."""

    pending_id: str
    message: str
    caller: Caller
    request_id: str
    conversation_id: str = ""
    approval: Approval | None = None
    """Of the second person, where the tool wants one."""


@dataclass(frozen=True)
class Cancelled:
    """The call will not be made."""

    call: PendingCall


class Replies:
    """Reads replies and acts on them."""

    def __init__(
        self,
        door: Door,
        confirmations: Confirmations,
        recorder: Recorder,
        clock: Callable[[], float],
        signing_key: str | None,
    ) -> None:
        self._door = door
        self._confirmations = confirmations
        self._recorder = recorder
        self._clock = clock
        self._signing_key = signing_key

    async def waiting(self, caller: Caller) -> list[PendingCall]:
        """What waits for this person. Raises: NotFromAModel."""
        _check_human(caller)
        await self.expire_overdue()
        return await asyncio.to_thread(
            self._confirmations.waiting, caller.user_id, also_dual=caller.role == "admin" and not caller.is_local
        )

    async def meant_by(self, message: str, caller: Caller, conversation_id: str, request_id: str) -> PendingCall | None:
        """The call of this person in this conversation that `message` answers; None: it is no answer.

        A word that cancels is for the newest.

        Raises:
            ConfirmationIsRefused: the phrase fits more than one: a model may have asked for another one, unseen.
        """
        whose = (caller.user_id, conversation_id)
        waiting = [call for call in await self.waiting(caller) if (call.user_id, call.conversation_id) == whose]
        fitting = [call for call in waiting if read_reply(message, call.phrase) != "neither"]
        if len(fitting) > 1 and read_reply(message, fitting[-1].phrase) == "confirm":
            row = self._row(fitting[-1], caller.user_id, request_id)
            row.decision = "denied"
            await row.end(error="ambiguous")
            names = ", ".join(f"{call.id} ({call.tool})" for call in fitting)
            raise ConfirmationIsRefused(f"{len(fitting)} calls wait here for that phrase: {names}. Nothing was run; "
                                        f"confirm one with `{confirm_command('ID')}`.")  # fmt: skip
        return fitting[-1] if fitting else None

    def may_be_meant(self, message: str) -> bool:
        """Whether `message` would confirm or cancel some call, if one waited."""
        return any(read_reply(message, phrase) != "neither" for phrase in self._door.phrases)

    def is_nearly_meant(self, message: str, most_behind: int) -> bool:
        """Whether `message` has the words of a phrase and at most `most_behind` words after them."""
        said = _words(message)
        phrases = [words for phrase in self._door.phrases if (words := _words(phrase))]
        return any(said[: len(words)] == words and len(said) <= len(words) + most_behind for words in phrases)

    async def note_slip(self, call: PendingCall, caller: Caller, request_id: str) -> None:
        """Writes the row of a message that was nearly the phrase of `call`. Runs nothing, whatever the message was."""
        row = self._row(call, caller.user_id, request_id)
        row.decision = "denied"
        await row.end(error="not_the_phrase")

    async def expire_overdue(self) -> None:
        """Ends what was not confirmed in time, with a row for each."""
        for call in await asyncio.to_thread(self._confirmations.expire):
            row = self._row(call, call.user_id, "expiry")
            row.decision = "expired"
            await row.end(error="expired")

    async def reply(self, reply: Reply, gone: Gone) -> Done | Waiting | Cancelled:
        """Acts on a reply.

        Raises:
            UnknownConfirmation: no such call, or it is another user's.
            NotFromAModel, ConfirmationIsRefused, ConfirmationIsUsed, ConfirmationIsOver: nothing was run.
            KittyError: it was confirmed, and then refused or failed as any call can be.
        """
        call, row = await self._found(reply)
        try:
            await self._check(call, reply)
            said = read_reply(reply.message, call.phrase)
            if said == "neither":
                await row.end(error="not_the_phrase")
                return Waiting(call, "That is not the phrase; nothing was run.")
            if said == "cancel":
                await asyncio.to_thread(self._confirmations.take, call, "cancelled")
                row.decision = "cancelled"
                await row.end()
                return Cancelled(call)
            approval = self._checked_approval(call, reply) if call.dual_confirm else None
            await asyncio.to_thread(self._confirmations.take, call, "confirmed", approval)
        except KittyError as error:
            await row.fail(error)
            raise
        return await self._run(call, reply, gone)

    async def approve(self, reply: Reply) -> Approval:
        """The signed word of a second person for a call that needs two.

        Raises:
            As `reply`.
        """
        call, row = await self._found(reply, also_dual=True)
        try:
            _check_human(reply.caller)
            if reply.caller.is_local:  # whoever needs no key may be the one who asked
                raise ConfirmationIsRefused("A second person approves with a key of their own; nothing was approved.")
            self._check_time(call)
            if not call.dual_confirm:
                raise ConfirmationIsRefused(f"{call.tool} needs no second person.")
            if reply.caller.role != "admin" or not is_second_person(call.user_id, reply.caller.user_id):
                raise ConfirmationIsRefused("An admin other than who asked for the call has to approve it.")
            if read_reply(reply.message, call.phrase) != "confirm":
                raise ConfirmationIsRefused("That is not the phrase; nothing was approved.")
            now = datetime.fromtimestamp(self._clock(), UTC)
            approval = approve(
                pending_id=call.id,
                tool=call.tool,
                arguments_sha256=call.arguments_sha256,
                user_id=reply.caller.user_id,
                conversation_id=call.conversation_id,
                now=now,
            ).sign(self._key())
        except KittyError as error:
            await row.fail(error)
            raise
        row.decision = "confirmed"
        await row.end(error="approved_by_second_person")
        return approval

    async def _found(self, reply: Reply, *, also_dual: bool = False) -> tuple[PendingCall, Row]:
        await self.expire_overdue()
        call = await asyncio.to_thread(self._confirmations.find, reply.pending_id)
        if call is None:
            raise UnknownConfirmation
        row = self._row(call, reply.caller.user_id, reply.request_id)
        row.decision = "denied"
        may_see = also_dual and call.dual_confirm and reply.caller.role == "admin"
        if call.user_id != reply.caller.user_id and not may_see:
            await row.end(error="other_user")
            raise UnknownConfirmation
        return call, row

    async def _check(self, call: PendingCall, reply: Reply) -> None:
        _check_human(reply.caller)
        if call.conversation_id != reply.conversation_id:
            raise ConfirmationIsRefused("This call belongs to another conversation; nothing was run.")
        self._check_time(call)

    def _check_time(self, call: PendingCall) -> None:
        if call.state == "expired" or (call.state == "pending" and self._clock() >= call.expires_at):
            raise ConfirmationIsOver
        if call.state != "pending":
            raise ConfirmationIsUsed

    def _checked_approval(self, call: PendingCall, reply: Reply) -> Approval:
        given = reply.approval
        if given is None:
            raise ConfirmationIsRefused(
                f"{call.tool} needs the approval of a second person: POST /api/confirmations/{call.id}/approve."
            )
        given.verify(self._key(), datetime.fromtimestamp(self._clock(), UTC))
        said = (given.pending_id, given.tool, given.arguments_sha256, given.conversation_id)
        if said != (call.id, call.tool, call.arguments_sha256, call.conversation_id):
            raise ConfirmationIsRefused("The approval is for another call; nothing was run.")
        if not is_second_person(call.user_id, given.user_id):
            raise ConfirmationIsRefused("The approval is by the same person who asked; nothing was run.")
        return given

    async def _run(self, call: PendingCall, reply: Reply, gone: Gone) -> Done:
        wish = Wish(
            tool=call.tool,
            arguments=call.arguments,
            caller=reply.caller,
            request_id=reply.request_id,
            conversation_id=call.conversation_id or None,
            override_given=call.override_given,
            confirmed=True,
        )
        answer = await self._door.invoke(wish, gone)
        assert not isinstance(answer, Waiting | Passage)  # it is confirmed, and no stream was asked for
        return answer

    def _row(self, call: PendingCall, user_id: str, request_id: str) -> Row:
        name = self._door.row_name(call)
        row = self._recorder.begin(name, user_id, request_id, call.conversation_id, call.arguments_sha256)
        row.hazard_class = call.hazard_class
        return row

    def _key(self) -> bytes:
        if not self._signing_key:
            raise ConfigurationError("HAZARD_SIGNING_KEY is not set, so nothing can be approved.")
        return self._signing_key.encode()


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _check_human(caller: Caller) -> None:
    if caller.surface != "human":
        raise NotFromAModel(f"A confirmation is taken from a person only: `{confirm_command('ID')}`.")
