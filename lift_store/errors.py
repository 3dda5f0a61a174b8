"""The errors of every store, as one tree.

StoreError
 |- NotFoundError          not_found        no such session, or not the caller's: the two cannot be told apart
 |- ConflictError          conflict         the caller's version is stale, or the session exists already
 |- DeniedError            denied           the database refused aloud (RLS or a missing grant)
 |- InvalidError           invalid          the request cannot be right, whoever sends it
 |   |- InvalidStateError  invalid          right in itself, but not in the session's present state
 |- UnauthenticatedError   unauthenticated  no verified identity that may use the store
 |- FailureError           (below)          not the caller's doing; counts against the objectives
     |- DeadlineError      timeout          no answer within the operation's deadline
     |- UnavailableError   unavailable      the backend cannot be reached or is shutting down
     |- SaturatedError     saturated        no free connection within the allowed wait
     |- InternalError      internal         our own fault: configuration, schema, or a bug

No message holds a prompt, a draft, a token or a password.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import ClassVar, Literal


class Outcome(StrEnum):
    """How one operation ended: the label `outcome` of the metrics."""

    OK = "ok"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    DENIED = "denied"
    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    SATURATED = "saturated"
    INTERNAL = "internal"

    @property
    def is_failure(self) -> bool:
        """Whether this outcome counts against the objectives; the caller's own mistakes do not."""
        return self in FAILURES


FAILURES = frozenset({Outcome.TIMEOUT, Outcome.UNAVAILABLE, Outcome.SATURATED, Outcome.INTERNAL})
"""The outcomes that count against the objectives."""


class StoreError(Exception):
    """The root of all errors that a store raises."""

    outcome: ClassVar[Outcome]


class NotFoundError(StoreError):
    """Nothing to change: the session does not exist, or is not the caller's."""

    outcome = Outcome.NOT_FOUND


class ConflictError(StoreError):
    """The session has moved on since the caller read it, or its id is taken by the caller's own other session.

    `actual_version` is the version that the session has now.
    """

    outcome = Outcome.CONFLICT

    def __init__(self, message: str, *, actual_version: int | None = None) -> None:
        super().__init__(message)
        self.actual_version = actual_version


class DeniedError(StoreError):
    """The database refused aloud. `kind` is the label of lift_store_rls_denials_total."""

    outcome = Outcome.DENIED

    def __init__(self, message: str, *, kind: Literal["with_check", "using", "grant"]) -> None:
        super().__init__(message)
        self.kind = kind


class InvalidError(StoreError):
    """The request cannot be right. `field` names the part at fault, where there is one."""

    outcome = Outcome.INVALID

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidStateError(InvalidError):
    """The session's state does not allow it: it is closed, or still has unresolved ambiguities."""


class UnauthenticatedError(StoreError):
    """There is no verified identity that may use the store."""

    outcome = Outcome.UNAUTHENTICATED


class FailureError(StoreError):
    """The service failed, not the caller. `retry_after` is a hint in seconds, or None."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadlineError(FailureError):
    """The backend did not answer within the operation's deadline; a write may or may not have happened."""

    outcome = Outcome.TIMEOUT


class UnavailableError(FailureError):
    """The backend cannot be reached, is starting, or is shutting down."""

    outcome = Outcome.UNAVAILABLE


class SaturatedError(FailureError):
    """Every connection was in use for as long as the caller may wait; nothing was sent."""

    outcome = Outcome.SATURATED


class InternalError(FailureError):
    """Our own fault: configuration, schema or code. The caller cannot mend it."""

    outcome = Outcome.INTERNAL


def outcome_of(error: BaseException) -> Outcome:
    """Return the outcome that *error* means; what no store should raise is `internal`."""
    if isinstance(error, StoreError):
        return error.outcome
    if isinstance(error, asyncio.CancelledError):
        return Outcome.CANCELLED
    return Outcome.INTERNAL
