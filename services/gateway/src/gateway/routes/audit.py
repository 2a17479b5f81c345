"""`/api/audit`: what was called, by whom, and how it ended."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, BeforeValidator

from gateway.auth import Caller
from gateway.gatekeeper import caller_of
from gateway.routes.documents import PROBLEMS
from kitty_core.audit import AuditLog, read_moment

Asker = Annotated[Caller, Depends(caller_of)]
Short = Annotated[str | None, Query(max_length=200)]
Moment = Annotated[datetime, BeforeValidator(read_moment)]
"""ISO 8601; without a zone: UTC."""


class Trail(BaseModel):
    """Rows, newest first, and the end of the chain."""

    entries: list[dict[str, Any]]
    head: dict[str, Any]


def create_router(audit: AuditLog) -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.get("/api/audit", responses=PROBLEMS)
    async def read_trail(
        caller: Asker,
        tool: Short = None,
        user: Short = None,
        since: Moment | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Trail:
        """The newest rows that match. An admin sees all; others see their own, whatever `user` says.

        `tool` in either spelling; `since` in ISO 8601, without a zone in UTC.
        """
        whose = user if caller.role == "admin" else caller.user_id
        if whose != user and user is not None:
            return Trail(entries=[], head=(await asyncio.to_thread(audit.head)).as_dict())
        rows = await asyncio.to_thread(audit.entries, tool, whose, since, limit)
        head = await asyncio.to_thread(audit.head)
        return Trail(entries=[row.as_dict() for row in rows], head=head.as_dict())

    return router
