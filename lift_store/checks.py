"""What every store asks of a request before it does anything, so that all refuse alike."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from lift_store.errors import InvalidError, UnauthenticatedError
from lift_store.models import MAX_FLOAT, MAX_JSON_BYTES, MAX_JSON_DEPTH, MAX_LIMIT, MAX_METADATA_BYTES, IRDraft, Model, SessionStatus
from lift_store.principal import AUTHENTICATED, Principal

_LIMITS = {"metadata": MAX_METADATA_BYTES, "ir": MAX_JSON_BYTES, "smt_results": MAX_JSON_BYTES}
_CURSOR = re.compile(r"([0-9]{1,17})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.ASCII)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def require_user(principal: Principal) -> None:
    """Raise UnauthenticatedError unless the principal's role is that of a signed-in user."""
    if principal.role != AUTHENTICATED:
        raise UnauthenticatedError(f"role {principal.role!r} may not use the store; it takes {AUTHENTICATED!r}")


def require_limit(limit: int) -> None:
    """Raise InvalidError unless *limit* is 1 to MAX_LIMIT."""
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidError(f"limit is {limit}; it must be 1 to {MAX_LIMIT}", field="limit")


def require_change(status: SessionStatus | None, metadata: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the metadata to store, checked; raise InvalidError where there is nothing to set or it cannot be stored."""
    if metadata is None:
        if status is None:
            raise InvalidError("nothing to set: give status, metadata, or both")
        return None
    _require_json("metadata", metadata, MAX_METADATA_BYTES)
    return dict(metadata)


def require_storable(*models: Model) -> None:
    """Raise InvalidError where a document of one of *models* cannot be stored, or a draft brings a version: the store assigns it."""
    for model in models:
        for field, limit in _LIMITS.items():
            if field in type(model).model_fields:
                _require_json(field, getattr(model, field), limit)
        if isinstance(model, IRDraft) and model.version is not None:
            raise InvalidError(f"version {model.version} was given; the store assigns it, leave it out", field="version")


def _require_json(field: str, value: object, limit: int) -> None:
    try:
        size = _json_size(value, MAX_JSON_DEPTH)
    except ValueError as error:
        raise InvalidError(f"{field} {error}", field=field) from None
    if size > limit:
        raise InvalidError(f"{field} is {size} bytes as JSON; the limit is {limit}", field=field)


def _json_size(value: object, depth: int) -> int:
    """Return the bytes of *value* as compact JSON, to within string escapes; raise ValueError where it cannot be stored."""
    match value:
        case str():
            return _text_size(value)
        case None | bool():
            return 5
        case int() | float():
            return _number_size(value)
        case list() | tuple() | dict() if depth == 0:
            raise ValueError(f"is nested deeper than {MAX_JSON_DEPTH} levels")
        case dict():
            return 2 + sum(2 + _text_size(key) + _json_size(item, depth - 1) for key, item in value.items())
        case list() | tuple():
            return 2 + sum(1 + _json_size(item, depth - 1) for item in value)
        case _:
            raise ValueError(f"holds a {type(value).__name__}, which is no JSON value")


def _number_size(value: float) -> int:
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError("holds an integer beyond 64 bits; send it as a string")
        return len(str(value))
    if not math.isfinite(value):
        raise ValueError("holds NaN or an infinity, which JSON has no number for")
    if abs(value) >= MAX_FLOAT:
        raise ValueError(f"holds the floating-point number {value!r}; from {MAX_FLOAT:g} on, send an integer or a string")
    return 24


def _text_size(text: object) -> int:
    if not isinstance(text, str):
        raise ValueError(f"has a key of type {type(text).__name__}; JSON objects have string keys")  # noqa: TRY004 - as the others
    found = _UNSTORABLE.search(text)
    if found:
        raise ValueError(f"holds the character U+{ord(found[0]):04X}, which cannot be stored")
    return len(text.encode()) + 2


def format_cursor(created_at: datetime, session_id: UUID) -> str:
    """Return the place of a session in a list: microseconds since 1970, and its id."""
    return f"{(created_at - _EPOCH) // timedelta(microseconds=1)}.{session_id}"


def parse_cursor(cursor: str) -> tuple[datetime, UUID]:
    """Return the place that *cursor* names; raise InvalidError if no list made it."""
    match = _CURSOR.fullmatch(cursor)
    if not match:
        raise InvalidError("cursor was not made by this list; pass next_cursor unchanged", field="cursor")
    return _EPOCH + timedelta(microseconds=int(match[1])), UUID(match[2])  # 17 digits are year 5138 at most
