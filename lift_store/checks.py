"""What every store asks of a request before it does anything, so that all refuse alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from lift_store.errors import InvalidError, UnauthenticatedError
from lift_store.models import MAX_LIMIT, IRDraft, Metadata, SessionStatus
from lift_store.principal import AUTHENTICATED, Principal

_METADATA: TypeAdapter[dict[str, Any]] = TypeAdapter(Metadata)
_CURSOR = re.compile(r"([0-9]{1,17})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def require_user(principal: Principal) -> None:
    """Raise UnauthenticatedError unless the principal's role is that of a signed-in user."""
    if principal.role != AUTHENTICATED:
        raise UnauthenticatedError(f"role {principal.role!r} may not use the store; it takes {AUTHENTICATED!r}")


def require_unnumbered(drafts: Iterable[IRDraft]) -> None:
    """Raise InvalidError where a draft brings the version that only the store assigns."""
    for draft in drafts:
        if draft.version is not None:
            raise InvalidError(f"version {draft.version} was given; the store assigns it, leave it out", field="version")


def require_limit(limit: int) -> None:
    """Raise InvalidError unless *limit* is 1 to MAX_LIMIT."""
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidError(f"limit is {limit}; it must be 1 to {MAX_LIMIT}", field="limit")


def require_change(status: SessionStatus | None, metadata: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the metadata to store, checked; raise InvalidError where there is nothing to set or it is no Metadata."""
    if metadata is None:
        if status is None:
            raise InvalidError("nothing to set: give status, metadata, or both")
        return None
    try:
        return _METADATA.validate_python(dict(metadata))
    except ValidationError as error:
        raise InvalidError(f"metadata {error.errors()[0]['msg']}", field="metadata") from None


def format_cursor(created_at: datetime, session_id: UUID) -> str:
    """Return the place of a session in a list: microseconds since 1970, and its id."""
    return f"{(created_at - _EPOCH) // timedelta(microseconds=1)}.{session_id}"


def parse_cursor(cursor: str) -> tuple[datetime, UUID]:
    """Return the place that *cursor* names; raise InvalidError if no list made it."""
    match = _CURSOR.fullmatch(cursor)
    try:
        if match:
            return _EPOCH + timedelta(microseconds=int(match[1])), UUID(match[2])
    except OverflowError:
        pass  # no session is that young: not one of ours either
    raise InvalidError("cursor was not made by this list; pass next_cursor unchanged", field="cursor")
