"""Sessions in this process's memory: for tests and trials, with the behaviour of the database and gone with the process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar, cast
from uuid import UUID, uuid4

from lift_store.checks import (
    format_cursor,
    parse_cursor,
    require_change,
    require_limit,
    require_storable,
    require_user,
)
from lift_store.errors import ConflictError, InvalidError, InvalidStateError
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
from lift_store.notes import found, note, note_not_found, note_status
from lift_store.observability import Observability, observe_store
from lift_store.principal import Principal
from lift_store.protocol import Backend, Operation
from lift_telemetry.observe import observed

AnswerT = TypeVar("AnswerT")


_Child = PromptRevision | IRDraft | HoleResolution


@dataclass(slots=True)
class _Record:
    """A session's own row and its children; the row is replaced, the children only grow."""

    row: dict[str, Any]
    revisions: list[PromptRevision] = field(default_factory=list)
    ir_drafts: list[IRDraft] = field(default_factory=list)
    pending_resolutions: list[HoleResolution] = field(default_factory=list)

    def summary(self) -> SessionSummary:
        counts = {
            "revision_count": len(self.revisions),
            "draft_count": len(self.ir_drafts),
            "resolution_count": len(self.pending_resolutions),
        }
        return SessionSummary.model_validate(self.row | counts).model_copy(deep=True)

    def session(self) -> PromptSession:
        history = {
            "revisions": tuple(self.revisions),
            "ir_drafts": tuple(self.ir_drafts),
            "pending_resolutions": tuple(self.pending_resolutions),
        }
        return PromptSession.model_validate(self.row | history).model_copy(deep=True)

    def touch(self, **changes: Any) -> None:
        now = max(datetime.now(UTC), self.row["updated_at"])
        self.row = self.row | changes | {"version": self.row["version"] + 1, "updated_at": now}

    def append(self, child: _Child) -> None:
        """Add *child*, numbered and dated as the database would."""
        if self.row["status"].is_closed:
            raise InvalidStateError(f"the session is {self.row['status']}; its history is closed", field="status")
        match child.model_copy(deep=True):  # the caller keeps its own metadata and IR, and may change them
            case PromptRevision() as revision:
                self.revisions.append(revision.model_copy(update={"timestamp": _utc(revision.timestamp)}))
            case IRDraft() as draft:
                numbered = {"version": len(self.ir_drafts) + 1, "created_at": _utc(draft.created_at)}
                self.ir_drafts.append(draft.model_copy(update=numbered))
            case resolution:
                self.pending_resolutions.append(resolution.model_copy(update={"timestamp": _utc(resolution.timestamp)}))
        self.touch()


def _utc(moment: datetime | None) -> datetime:
    return moment.astimezone(UTC) if moment else datetime.now(UTC)


@dataclass(slots=True)
class _User:
    """One user's namespace: sessions by id, and what was answered by operation id."""

    sessions: dict[UUID, _Record] = field(default_factory=dict)
    answers: dict[UUID, tuple[str, Any]] = field(default_factory=dict)


class InMemorySessionStore:
    """Keeps sessions in memory. No operation awaits anything, so each is atomic on its event loop; not for use from several threads."""

    def __init__(self, *, observability: Observability | None = None) -> None:
        self.observability = observability or observe_store(Backend.MEMORY)
        self._users: dict[UUID, _User] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def as_user(self, principal: Principal) -> InMemoryUserSessions:
        """Return the operations as *principal*."""
        return InMemoryUserSessions(self, principal)

    async def ping(self) -> None:
        """Return: memory always answers."""

    def user(self, principal: Principal) -> _User:
        """Return the namespace of a caller who may have one."""
        require_user(principal)
        return self._users.setdefault(principal.user_id, _User())


class InMemoryUserSessions:
    """The operations of `UserSessions` as one caller."""

    def __init__(self, store: InMemorySessionStore, principal: Principal) -> None:
        self.telemetry = store.observability.telemetry
        self._store = store
        self._principal = principal

    @property
    def _user(self) -> _User:
        return self._store.user(self._principal)

    def _once(self, operation: Operation, request: object, operation_id: UUID | None, act: Callable[[], AnswerT]) -> AnswerT:
        """Return what *act* answers, or what it answered when *operation_id* came first."""
        answers = self._user.answers
        wording = f"{operation} {request!r}"
        if operation_id in answers:
            earlier, answer = answers[operation_id]
            if earlier != wording:
                raise InvalidError("operation_id was used before, for another request; make a new one", field="operation_id")
            note(replayed=True)
            return cast("AnswerT", answer)
        answer = act()
        answers[operation_id or uuid4()] = (wording, answer)
        return answer

    def _append(self, operation: Operation, session_id: UUID, child: _Child, operation_id: UUID | None) -> SessionSummary:
        require_storable(child)

        def act() -> SessionSummary | None:
            record = self._user.sessions.get(session_id)
            if record:
                record.append(child)
            return record.summary() if record else None

        return found(self._once(operation, (session_id, child), operation_id, act))

    def _page(self, status: SessionStatus | None, limit: int, cursor: str | None) -> Page[SessionSummary]:
        require_limit(limit)
        place = parse_cursor(cursor) if cursor is not None else None
        records = sorted(
            (
                (record.row["created_at"], session_id)
                for session_id, record in self._user.sessions.items()
                if status in (None, record.row["status"])
            ),
            reverse=True,
        )
        after = [key for key in records if place is None or key < place]
        items = tuple(self._user.sessions[session_id].summary() for _, session_id in after[:limit])
        return Page(items=items, next_cursor=format_cursor(*after[limit - 1]) if len(after) > limit else None)

    @observed
    async def create(self, new: NewSession, *, operation_id: UUID | None = None) -> SessionSummary:
        """Store a new session."""
        require_storable(new, *new.revisions, *new.ir_drafts, *new.pending_resolutions)
        note(source=new.source)
        return self._once(Operation.CREATE, new, operation_id, lambda: self._create(new))

    def _create(self, new: NewSession) -> SessionSummary:
        session_id = new.session_id or uuid4()
        taken = self._user.sessions.get(session_id)
        if taken:
            raise ConflictError("you have a session of that id already", actual_version=taken.row["version"])
        now = datetime.now(UTC)
        record = _Record(
            {
                "session_id": session_id,
                "user_id": self._principal.user_id,
                "status": SessionStatus.ACTIVE,
                "source": new.source,
                "metadata": deepcopy(new.metadata),
                "version": 1,
                "created_at": now,
                "updated_at": now,
                "finalized_at": None,
            }
        )
        children: tuple[_Child, ...] = (*new.revisions, *new.ir_drafts, *new.pending_resolutions)
        for child in children:
            record.append(child)
        self._user.sessions[session_id] = record
        return record.summary()

    @observed
    async def get(self, session_id: UUID) -> PromptSession | None:
        """Return the session with all its history."""
        record = self._user.sessions.get(session_id)
        if record is None:
            note_not_found()
            return None
        return record.session()

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
        checked = deepcopy(require_change(status, metadata))
        request = (session_id, version, status, checked)
        answer = self._once(Operation.UPDATE, request, operation_id, lambda: self._update(session_id, version, status, checked))
        note_status(found(answer), status)
        return found(answer)

    def _update(
        self, session_id: UUID, version: int, status: SessionStatus | None, metadata: dict[str, Any] | None
    ) -> SessionSummary | None:
        record = self._user.sessions.get(session_id)
        if record is None:
            return None
        row = record.row
        if row["version"] != version:
            raise ConflictError(
                f"the session is at version {row['version']}, not {version}; read it again",
                actual_version=row["version"],
            )
        if status and row["status"].is_closed:
            raise InvalidStateError(f"the session is {row['status']}; its status can no longer change", field="status")
        if status is SessionStatus.FINALIZED and record.session().unresolved_ambiguities:
            raise InvalidStateError("the session has unresolved ambiguities; resolve each before finalizing it", field="status")
        record.touch(
            status=status or row["status"],
            metadata=row["metadata"] if metadata is None else metadata,
            finalized_at=datetime.now(UTC) if status is SessionStatus.FINALIZED else row["finalized_at"],
        )
        return record.summary()

    @observed
    async def delete(self, session_id: UUID, *, operation_id: UUID | None = None) -> bool:
        """Delete the session and its history."""
        deleted = self._once(Operation.DELETE, session_id, operation_id, lambda: self._user.sessions.pop(session_id, None) is not None)
        if not deleted:
            note_not_found()
        return deleted

    @observed
    async def list_active(self, limit: int = 50, cursor: str | None = None) -> Page[SessionSummary]:
        """Return the caller's active sessions, newest first."""
        return self._page(SessionStatus.ACTIVE, limit, cursor)

    @observed
    async def list_all(self, status: SessionStatus | None = None, limit: int = 50, cursor: str | None = None) -> Page[SessionSummary]:
        """Return the caller's sessions, newest first."""
        return self._page(status, limit, cursor)

    @observed
    async def add_revision(self, session_id: UUID, revision: PromptRevision, *, operation_id: UUID | None = None) -> SessionSummary:
        """Append a revision."""
        return self._append(Operation.ADD_REVISION, session_id, revision, operation_id)

    @observed
    async def add_draft(self, session_id: UUID, draft: IRDraft, *, operation_id: UUID | None = None) -> SessionSummary:
        """Append a draft."""
        return self._append(Operation.ADD_DRAFT, session_id, draft, operation_id)

    @observed
    async def add_resolution(self, session_id: UUID, resolution: HoleResolution, *, operation_id: UUID | None = None) -> SessionSummary:
        """Append the answer to a hole."""
        note(resolution_type=resolution.resolution_type)
        return self._append(Operation.ADD_RESOLUTION, session_id, resolution, operation_id)
