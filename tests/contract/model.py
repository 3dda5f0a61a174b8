"""What a session store does, as plainly as it can be said: the model that real stores are held against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from lift_store import (
    HoleResolution,
    IRDraft,
    NewSession,
    PromptRevision,
    PromptSession,
    SessionSource,
    SessionStatus,
    SessionSummary,
    UserSessions,
)
from lift_store.errors import Outcome, StoreError

Child = PromptRevision | IRDraft | HoleResolution


class Answer(NamedTuple):
    """What a caller may know of how a write ended: its outcome, and the session that it left."""

    outcome: str
    version: int | None = None
    status: SessionStatus | None = None
    counts: tuple[int, int, int] | None = None


@dataclass
class ModelSession:
    """One session; history in three lists."""

    source: SessionSource
    metadata: dict[str, Any]
    status: SessionStatus = SessionStatus.ACTIVE
    version: int = 1
    revisions: list[PromptRevision] = field(default_factory=list)
    drafts: list[IRDraft] = field(default_factory=list)
    resolutions: list[HoleResolution] = field(default_factory=list)

    def answer(self) -> Answer:
        """Return what a write that leaves this answers."""
        return Answer("ok", self.version, self.status, (len(self.revisions), len(self.drafts), len(self.resolutions)))

    def add(self, child: Child) -> None:
        """Append to the history."""
        match child:
            case PromptRevision():
                self.revisions.append(child)
            case IRDraft():
                self.drafts.append(child)
            case HoleResolution():
                self.resolutions.append(child)
        self.version += 1

    @property
    def has_open_holes(self) -> bool:
        """Whether the newest draft leaves a question that nobody answered."""
        answered = {resolution.hole_id for resolution in self.resolutions}
        return bool(self.drafts) and bool(set(self.drafts[-1].ambiguities) - answered)

    def describes(self, got: PromptSession) -> bool:
        """Whether *got* is this session, but for what the store assigns."""
        return (
            (self.source, self.status, self.version, self.metadata) == (got.source, got.status, got.version, got.metadata)
            and (self.status is SessionStatus.FINALIZED) == (got.finalized_at is not None)
            and list(map(_sent, self.revisions)) == list(map(_sent, got.revisions))
            and list(map(_sent, self.drafts)) == list(map(_sent, got.ir_drafts))
            and [draft.version for draft in got.ir_drafts] == list(range(1, len(self.drafts) + 1))
            and list(map(_sent, self.resolutions)) == list(map(_sent, got.pending_resolutions))
        )


def _sent(child: Child) -> dict[str, Any]:
    return child.model_dump(exclude={"version", "timestamp", "created_at"})


@dataclass(frozen=True)
class Create:
    """Begin a session."""

    session_id: UUID
    new: NewSession

    def apply(self, sessions: dict[UUID, ModelSession]) -> Answer:
        """Do it to the model."""
        if self.session_id in sessions:
            return Answer(Outcome.CONFLICT)
        made = sessions[self.session_id] = ModelSession(self.new.source, self.new.metadata)
        children: tuple[Child, ...] = (*self.new.revisions, *self.new.ir_drafts, *self.new.pending_resolutions)
        for child in children:
            made.add(child)
        return made.answer()

    async def send(self, sessions: UserSessions, operation_id: UUID) -> SessionSummary | bool:
        """Do it to a store."""
        return await sessions.create(self.new.model_copy(update={"session_id": self.session_id}), operation_id=operation_id)


@dataclass(frozen=True)
class Append:
    """Add to a session's history."""

    session_id: UUID
    child: Child

    def apply(self, sessions: dict[UUID, ModelSession]) -> Answer:
        """Do it to the model."""
        session = sessions.get(self.session_id)
        if session is None:
            return Answer(Outcome.NOT_FOUND)
        if session.status.is_closed:
            return Answer(Outcome.INVALID)
        session.add(self.child)
        return session.answer()

    async def send(self, sessions: UserSessions, operation_id: UUID) -> SessionSummary | bool:
        """Do it to a store."""
        match self.child:
            case PromptRevision():
                return await sessions.add_revision(self.session_id, self.child, operation_id=operation_id)
            case IRDraft():
                return await sessions.add_draft(self.session_id, self.child, operation_id=operation_id)
            case HoleResolution():
                return await sessions.add_resolution(self.session_id, self.child, operation_id=operation_id)


@dataclass(frozen=True)
class Update:
    """Set status, metadata or both."""

    session_id: UUID
    version: int
    status: SessionStatus | None
    metadata: dict[str, Any] | None

    def apply(self, sessions: dict[UUID, ModelSession]) -> Answer:
        """Do it to the model."""
        if self.status is None and self.metadata is None:
            return Answer(Outcome.INVALID)
        session = sessions.get(self.session_id)
        if session is None:
            return Answer(Outcome.NOT_FOUND)
        if session.version != self.version:
            return Answer(Outcome.CONFLICT)
        if self.status and (session.status.is_closed or (self.status is SessionStatus.FINALIZED and session.has_open_holes)):
            return Answer(Outcome.INVALID)
        session.status = self.status or session.status
        session.metadata = session.metadata if self.metadata is None else self.metadata
        session.version += 1
        return session.answer()

    async def send(self, sessions: UserSessions, operation_id: UUID) -> SessionSummary | bool:
        """Do it to a store."""
        return await sessions.update(
            self.session_id, version=self.version, status=self.status, metadata=self.metadata, operation_id=operation_id
        )


@dataclass(frozen=True)
class Delete:
    """Forget a session."""

    session_id: UUID

    def apply(self, sessions: dict[UUID, ModelSession]) -> Answer:
        """Do it to the model."""
        return Answer("ok" if sessions.pop(self.session_id, None) else Outcome.NOT_FOUND)

    async def send(self, sessions: UserSessions, operation_id: UUID) -> SessionSummary | bool:
        """Do it to a store."""
        return await sessions.delete(self.session_id, operation_id=operation_id)


Write = Create | Append | Update | Delete


class Request(NamedTuple):
    """One write as one user sends it; sent again, it is the same request."""

    user: int
    operation_id: UUID
    write: Write


@dataclass
class ModelUser:
    """One user's sessions, and what was answered to each request."""

    sessions: dict[UUID, ModelSession] = field(default_factory=dict)
    answers: dict[UUID, tuple[Write, Answer]] = field(default_factory=dict)


def apply(users: list[ModelUser], request: Request) -> Answer:
    """Do *request* to the model: once, whatever it is repeated. Conflicts and refusals are no answers worth remembering."""
    user = users[request.user]
    if request.operation_id in user.answers and not _refused_at_sight(request.write):
        write, answer = user.answers[request.operation_id]
        return answer if write == request.write else Answer(Outcome.INVALID)
    answer = request.write.apply(user.sessions)
    if answer.outcome in ("ok", Outcome.NOT_FOUND):
        user.answers[request.operation_id] = (request.write, answer)
    return answer


def _refused_at_sight(write: Write) -> bool:
    return isinstance(write, Update) and write.status is None and write.metadata is None


async def answer_to(call: Callable[[], Any]) -> Answer:
    """Return how a store's write ended; only a store's own errors are an answer."""
    try:
        result: SessionSummary | bool = await call()
    except StoreError as error:
        return Answer(str(error.outcome))
    if isinstance(result, SessionSummary):
        return Answer("ok", result.version, result.status, (result.revision_count, result.draft_count, result.resolution_count))
    return Answer("ok" if result else Outcome.NOT_FOUND)
