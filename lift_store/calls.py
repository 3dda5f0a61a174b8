"""The operations as calls of the database's own functions, the same ones by every way there: see migrations/008_create_operations.sql."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID, uuid4

from pydantic import BaseModel, ValidationError

from lift_store.checks import require_change, require_limit, require_storable, require_user
from lift_store.errors import InternalError
from lift_store.models import (
    HoleResolution,
    IRDraft,
    Model,
    NewSession,
    Page,
    PromptRevision,
    PromptSession,
    SessionStatus,
    SessionSummary,
)
from lift_store.notes import found, note, note_not_found, note_status
from lift_store.principal import Principal
from lift_store.protocol import Operation
from lift_telemetry.observe import Telemetry, observed

_PAGE = Page[SessionSummary]
AnswerT = TypeVar("AnswerT", bound=BaseModel)


class _Written(Model):
    """The answer of a write."""

    session: SessionSummary | None = None
    deleted: bool = False
    replayed: bool


class CalledSessions(ABC):
    """The operations of `UserSessions` as *principal*; each is one call of one function, which `_call` makes."""

    def __init__(self, telemetry: Telemetry, principal: Principal) -> None:
        self.telemetry = telemetry
        self._principal = principal

    @abstractmethod
    async def _call(self, operation: Operation, arguments: Mapping[str, Any]) -> str | bytes | None:
        """Call the function of *operation* as the principal, and return its JSON; None or `null` for nothing.

        *arguments* go by the names of the function's parameters, its `context` excepted; models and mappings are JSON documents.
        """

    async def _asked(self, operation: Operation, arguments: Mapping[str, Any], answer: type[AnswerT]) -> AnswerT | None:
        require_user(self._principal)
        text = await self._call(operation, arguments)
        if text is None or text in ("null", b"null"):
            return None
        try:
            return answer.model_validate_json(text)
        except ValidationError:  # names what it was sent, so it is not passed on
            raise InternalError(f"the answer to {operation} is none of the database's functions") from None

    async def _write(self, operation: Operation, arguments: Mapping[str, Any], operation_id: UUID | None) -> _Written:
        # made here, once for all attempts
        written = await self._asked(operation, {**arguments, "operation_id": operation_id or uuid4()}, _Written)
        if written is None:
            raise InternalError(f"the answer to {operation} is empty")
        note(replayed=written.replayed)
        self._require_own(written.session)
        return written

    async def _append(self, operation: Operation, session_id: UUID, name: str, child: Model, operation_id: UUID | None) -> SessionSummary:
        require_storable(child)
        return found((await self._write(operation, {"session_id": session_id, name: child}, operation_id)).session)

    async def _page(self, operation: Operation, arguments: Mapping[str, Any]) -> Page[SessionSummary]:
        require_limit(arguments["max_items"])
        page = await self._asked(operation, arguments, _PAGE) or _PAGE(items=())
        self._require_own(*page.items)
        return page

    def _require_own(self, *sessions: SessionSummary | PromptSession | None) -> None:
        """Pass nothing on that is somebody else's: the last of several locks, and the only one on this side."""
        for session in sessions:
            if session is not None and session.user_id != self._principal.user_id:
                raise InternalError("the database answered with another user's session, which was not passed on")

    @observed
    async def create(self, new: NewSession, *, operation_id: UUID | None = None) -> SessionSummary:
        """Store a new session."""
        require_storable(new, *new.revisions, *new.ir_drafts, *new.pending_resolutions)
        note(source=new.source)
        return found((await self._write(Operation.CREATE, {"session": new}, operation_id)).session)

    @observed
    async def get(self, session_id: UUID) -> PromptSession | None:
        """Return the session with all its history."""
        session = await self._asked(Operation.GET, {"session_id": session_id}, PromptSession)
        if session is None:
            note_not_found()
        self._require_own(session)
        return session

    @observed
    async def update(
        self,
        session_id: UUID,
        *,
        version: int,
        status: SessionStatus | None = None,
        metadata: Mapping[str, Any] | None = None,
        operation_id: UUID | None = None,
    ) -> SessionSummary:
        """Set status, metadata or both, if the session is still at *version*."""
        change = {"status": status, "metadata": require_change(status, metadata)}
        written = await self._write(Operation.UPDATE, {"session_id": session_id, "version": version, **change}, operation_id)
        summary = found(written.session)
        note_status(summary, status)
        return summary

    @observed
    async def delete(self, session_id: UUID, *, operation_id: UUID | None = None) -> bool:
        """Delete the session and its history."""
        deleted = (await self._write(Operation.DELETE, {"session_id": session_id}, operation_id)).deleted
        if not deleted:
            note_not_found()
        return deleted

    @observed
    async def list_active(self, limit: int = 50, cursor: str | None = None) -> Page[SessionSummary]:
        """Return the caller's active sessions, newest first."""
        return await self._page(Operation.LIST_ACTIVE, {"max_items": limit, "cursor": cursor})

    @observed
    async def list_all(self, status: SessionStatus | None = None, limit: int = 50, cursor: str | None = None) -> Page[SessionSummary]:
        """Return the caller's sessions, newest first."""
        return await self._page(Operation.LIST_ALL, {"status": status, "max_items": limit, "cursor": cursor})

    @observed
    async def add_revision(self, session_id: UUID, revision: PromptRevision, *, operation_id: UUID | None = None) -> SessionSummary:
        """Append a revision."""
        return await self._append(Operation.ADD_REVISION, session_id, "revision", revision, operation_id)

    @observed
    async def add_draft(self, session_id: UUID, draft: IRDraft, *, operation_id: UUID | None = None) -> SessionSummary:
        """Append a draft."""
        return await self._append(Operation.ADD_DRAFT, session_id, "draft", draft, operation_id)

    @observed
    async def add_resolution(self, session_id: UUID, resolution: HoleResolution, *, operation_id: UUID | None = None) -> SessionSummary:
        """Append the answer to a hole."""
        note(resolution_type=resolution.resolution_type)
        return await self._append(Operation.ADD_RESOLUTION, session_id, "resolution", resolution, operation_id)
