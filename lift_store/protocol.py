"""The contract of every store: the operations as one caller, and the store that hands them out."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable
from uuid import UUID

from lift_store.models import (
    HoleResolution,
    IRDraft,
    NewSession,
    Page,
    PromptRevision,
    PromptSession,
    SessionStatus,
    SessionSummary,
)
from lift_store.principal import Principal


class Operation(StrEnum):
    """The operations of `UserSessions`: the label `operation` of the metrics."""

    CREATE = "create"
    GET = "get"
    UPDATE = "update"
    DELETE = "delete"
    LIST_ACTIVE = "list_active"
    LIST_ALL = "list_all"
    ADD_REVISION = "add_revision"
    ADD_DRAFT = "add_draft"
    ADD_RESOLUTION = "add_resolution"


class Backend(StrEnum):
    """Who answers: the label `backend` of the metrics."""

    SUPABASE = "supabase"
    POSTGRES = "postgres"
    MEMORY = "memory"


@runtime_checkable
class UserSessions(Protocol):
    """The operations, as one verified caller, on that caller's sessions and nobody else's.

    Every write takes an *operation_id*, made once for each call where left out. A repeat with the same id answers as the first did and
    stores once; the same id with other content raises InvalidError. Every method may also raise UnauthenticatedError (the principal's
    role is not `authenticated`), DeniedError, and the FailureErrors: DeadlineError, UnavailableError, SaturatedError, InternalError.
    """

    async def create(self, new: NewSession, *, operation_id: UUID | None = None) -> SessionSummary:
        """Store a new session; ConflictError if the caller has one of that id already."""
        ...

    async def get(self, session_id: UUID) -> PromptSession | None:
        """Return the session with all its history, or None if the caller has none of that id."""
        ...

    async def update(
        self,
        session_id: UUID,
        *,
        version: int,
        status: SessionStatus | None = None,
        metadata: Mapping[str, Any] | None = None,
        operation_id: UUID | None = None,
    ) -> SessionSummary:
        """Set the status, or replace the metadata, or both, if the session is still at *version*.

        Raises ConflictError (stale: nothing changed), NotFoundError, InvalidError (nothing to set) and InvalidStateError (the status of a
        closed session, or finalizing one with unresolved ambiguities).
        """
        ...

    async def delete(self, session_id: UUID, *, operation_id: UUID | None = None) -> bool:
        """Delete the session and its history; False if there was none to delete."""
        ...

    async def list_active(self, limit: int = 50, cursor: str | None = None) -> Page[SessionSummary]:
        """Return the caller's active sessions, newest first; *limit* is 1 to 200."""
        ...

    async def list_all(self, status: SessionStatus | None = None, limit: int = 50, cursor: str | None = None) -> Page[SessionSummary]:
        """Return the caller's sessions of *status*, or of every status, newest first; *limit* is 1 to 200."""
        ...

    async def add_revision(self, session_id: UUID, revision: PromptRevision, *, operation_id: UUID | None = None) -> SessionSummary:
        """Append a revision; concurrent calls all succeed. NotFoundError; InvalidStateError if the session is closed."""
        ...

    async def add_draft(self, session_id: UUID, draft: IRDraft, *, operation_id: UUID | None = None) -> SessionSummary:
        """Append a draft, which the store numbers. NotFoundError; InvalidStateError if the session is closed."""
        ...

    async def add_resolution(self, session_id: UUID, resolution: HoleResolution, *, operation_id: UUID | None = None) -> SessionSummary:
        """Append the answer to a hole. NotFoundError; InvalidStateError if the session is closed."""
        ...


@runtime_checkable
class SessionStore(Protocol):
    """Where sessions are kept. Nothing is contacted before `async with`."""

    def as_user(self, principal: Principal) -> UserSessions:
        """Return the operations as *principal*; cheap, no I/O."""
        ...

    async def ping(self) -> None:
        """Return if the backend answers; raise a FailureError that says why it does not."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...
