"""What an operation tells telemetry beyond its name and how it ended: the attributes that lift_store.business counts by."""

from __future__ import annotations

from typing import Any

from lift_store.errors import NotFoundError, Outcome
from lift_store.models import SessionStatus, SessionSummary
from lift_telemetry.event import current_operation


def note(**attributes: Any) -> None:
    """Add to the attributes of the operation that is being observed, if any. Nothing that identifies a user or holds content."""
    operation = current_operation()
    if operation:
        operation.attributes.update(attributes)


def note_not_found() -> None:
    """Make the operation's outcome `not_found` although it raises nothing."""
    operation = current_operation()
    if operation:
        operation.outcome = Outcome.NOT_FOUND


def note_status(summary: SessionSummary, status: SessionStatus | None) -> None:
    """Note the new status of a session, and how old it is, where an update set one."""
    if status:
        note(source=summary.source, status=status, age_seconds=(summary.updated_at - summary.created_at).total_seconds())


def found(summary: SessionSummary | None) -> SessionSummary:
    """Return *summary*; None is NotFoundError, in the same words whether the session is missing or somebody else's."""
    if summary is None:
        raise NotFoundError("you have no session of that id")
    return summary
