"""Calls that wait for a person's word: kept with their exact arguments, used at most once.

keep ─> pending ─┬─ take ──> confirmed   one conditional UPDATE decides: of racing confirmations one changes a row
                 ├─ take ──> cancelled
                 └─ expire ─> expired

The arguments are emptied as soon as a call is decided. All methods block: call them in a thread.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy import Engine, Row, Select, func, insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError

from gateway.errors import ConfirmationIsUsed, DatabaseIsAway, TooManyWait
from gateway.tables import pending_calls, used_approvals
from kitty_core.confirmation import Approval
from kitty_core.database import reading

State = Literal["pending", "confirmed", "cancelled", "expired"]
MOST_WAITING = 50
"""Calls of one user that may wait: a model in a loop must not fill the database."""
table = pending_calls.c


@dataclass(frozen=True)
class PendingCall:
    """A call that nobody has confirmed yet, or what became of it."""

    tool: str
    arguments: Mapping[str, Any]
    """Exactly as asked; empty once the call is decided."""
    arguments_sha256: str
    user_id: str
    conversation_id: str
    """Empty: it belongs to none."""
    phrase: str
    hazard_class: str
    dual_confirm: bool = False
    override_given: bool = False
    id: str = ""
    created_at: float = 0.0
    """Seconds since the epoch, as the next."""
    expires_at: float = 0.0
    state: State = "pending"


class Confirmations:
    """The table of pending calls."""

    def __init__(self, engine: Engine, clock: Callable[[], float], within_sec: float) -> None:
        self._engine = engine
        self._clock = clock
        self._within_sec = within_sec

    def keep(self, call: PendingCall) -> PendingCall:
        """Stores a new call; returns it with its id and times.

        Raises:
            TooManyWait: MOST_WAITING of this user's wait already.
            DatabaseIsAway
        """
        now = self._clock()
        kept = replace(call, id=uuid4().hex, created_at=now, expires_at=now + self._within_sec, state="pending")
        with self._writing() as connection:
            waiting = select(func.count()).where(table.user_id == call.user_id, table.state == "pending")
            if connection.execute(waiting.where(table.expires_at > now)).scalar_one() >= MOST_WAITING:
                raise TooManyWait
            text = json.dumps(dict(call.arguments))
            connection.execute(insert(pending_calls).values({**vars(kept), "arguments": text}))
        return kept

    def find(self, pending_id: str) -> PendingCall | None:
        """The call of that id, decided or not. Raises: DatabaseIsAway."""
        found = self._rows(select(pending_calls).where(table.id == pending_id))
        return found[0] if found else None

    def waiting(self, user_id: str, *, also_dual: bool = False) -> list[PendingCall]:
        """What waits for `user_id`, oldest first; with `also_dual` what waits for a second person too.

        Raises:
            DatabaseIsAway
        """
        whose = table.user_id == user_id
        if also_dual:
            whose = whose | table.dual_confirm
        query = select(pending_calls).where(whose, table.state == "pending", table.expires_at > self._clock())
        return self._rows(query.order_by(table.created_at))

    def take(
        self, call: PendingCall, state: Literal["confirmed", "cancelled"], approval: Approval | None = None
    ) -> None:
        """Decides `call`, once: whoever returns from here may act on it, and nobody else will.

        Raises:
            ConfirmationIsUsed: it was decided or expired meanwhile, or `approval` was used before.
            DatabaseIsAway
        """
        now = self._clock()
        is_same_call = (table.id == call.id) & (table.user_id == call.user_id)
        is_same_call &= (table.conversation_id == call.conversation_id) & (table.state == "pending")
        decide = update(pending_calls).where(is_same_call, table.expires_at > now)
        with self._writing() as connection:
            if connection.execute(decide.values(state=state, decided_at=now, arguments=None)).rowcount != 1:
                raise ConfirmationIsUsed
            if approval is not None:
                used = {"nonce": approval.nonce, "pending_id": call.id, "expires_at": approval.expires_at.timestamp()}
                connection.execute(insert(used_approvals).values(used))

    def expire(self) -> list[PendingCall]:
        """Ends what was not confirmed in time. Each call is returned once, to one caller. Raises: DatabaseIsAway."""
        now = self._clock()
        overdue = self._rows(select(pending_calls).where(table.state == "pending", table.expires_at <= now))
        if not overdue:
            return []
        values = {"state": "expired", "decided_at": now, "arguments": None}
        with self._writing() as connection:
            ended = [
                call
                for call in overdue
                if connection.execute(
                    update(pending_calls).where(table.id == call.id, table.state == "pending").values(values)
                ).rowcount
            ]
        return [replace(call, state="expired") for call in ended]

    def _rows(self, query: Select[Any]) -> list[PendingCall]:
        try:
            with reading(self._engine) as connection:
                return [_call(row) for row in connection.execute(query)]
        except OperationalError as error:
            raise DatabaseIsAway from error

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except IntegrityError as error:  # the nonce is there already; the transaction is undone
            raise ConfirmationIsUsed from error
        except OperationalError as error:
            raise DatabaseIsAway from error


def _call(row: "Row[Any]") -> PendingCall:
    values = {name: value for name, value in row._mapping.items() if name != "decided_at"}
    return PendingCall(**values | {"arguments": json.loads(row.arguments) if row.arguments else {}})
