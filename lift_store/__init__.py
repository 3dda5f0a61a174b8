"""An instrumented session store for AI prompt refinement: on Supabase, on PostgreSQL, in memory; one contract for all."""

from lift_store.errors import (
    ConflictError,
    DeadlineError,
    DeniedError,
    FailureError,
    InternalError,
    InvalidError,
    InvalidStateError,
    NotFoundError,
    Outcome,
    SaturatedError,
    StoreError,
    UnauthenticatedError,
    UnavailableError,
)
from lift_store.manager import SpecSessionManager, Translator
from lift_store.memory import InMemorySessionStore
from lift_store.models import (
    HoleResolution,
    IRDraft,
    NewSession,
    Page,
    PromptRevision,
    PromptSession,
    ResolutionType,
    RevisionType,
    SessionSource,
    SessionStatus,
    SessionSummary,
    ValidationStatus,
)
from lift_store.postgres import PostgresSessionStore
from lift_store.principal import Principal
from lift_store.protocol import SessionStore, UserSessions

__all__ = [
    "ConflictError",
    "DeadlineError",
    "DeniedError",
    "FailureError",
    "HoleResolution",
    "IRDraft",
    "InMemorySessionStore",
    "InternalError",
    "InvalidError",
    "InvalidStateError",
    "NewSession",
    "NotFoundError",
    "Outcome",
    "Page",
    "PostgresSessionStore",
    "Principal",
    "PromptRevision",
    "PromptSession",
    "ResolutionType",
    "RevisionType",
    "SaturatedError",
    "SessionSource",
    "SessionStatus",
    "SessionStore",
    "SessionSummary",
    "SpecSessionManager",
    "StoreError",
    "Translator",
    "UnauthenticatedError",
    "UnavailableError",
    "UserSessions",
    "ValidationStatus",
]
