"""What every store asks of a request before it does anything, so that all refuse alike."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from lift_store.errors import InvalidError, UnauthenticatedError
from lift_store.models import (
    MAX_FLOAT,
    MAX_JSON_BYTES,
    MAX_JSON_DEPTH,
    MAX_LIMIT,
    MAX_METADATA_BYTES,
    IRDraft,
    Model,
    NewSession,
    SessionStatus,
)
from lift_store.principal import AUTHENTICATED, Principal

_LIMITS = {"metadata": MAX_METADATA_BYTES, "ir": MAX_JSON_BYTES, "smt_results": MAX_JSON_BYTES}
_MOMENTS = ("timestamp", "created_at")
_CHILDREN = ("revisions", "ir_drafts", "pending_resolutions")
_SHOWN_BITS = 128
_CURSOR = re.compile(r"([0-9]{1,17})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.ASCII)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Rule(StrEnum):
    """What of a model no store can hold."""

    CHARACTER = "character"
    NUMBER = "number"
    DEPTH = "depth"
    SIZE = "size"
    TYPE = "type"
    MOMENT = "moment"


class UnstorableError(InvalidError):
    """A value that no store can hold: `field` is its place in the model, `rule` what it breaks, `limit` the number, where there is one."""

    def __init__(self, field: str, rule: Rule, problem: str, *, limit: int | None = None) -> None:
        super().__init__(f"{field} {problem}", field=field)
        self.rule = rule
        self.limit = limit


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
    """Raise InvalidError where one of *models* cannot be stored: a document, a moment, or a draft's version, which the store assigns.

    A new session's children follow it, in the order of its fields: so the error can say which of them it means.
    """
    for model, place in zip(models, _places(models), strict=False):
        for field, limit in _LIMITS.items():
            if field in type(model).model_fields:
                _require_json(place + field, getattr(model, field), limit)
        for field in _MOMENTS:
            _require_moment(place + field, getattr(model, field, None))
        if isinstance(model, IRDraft) and model.version is not None:
            raise InvalidError(f"version {model.version} was given; the store assigns it, leave it out", field=place + "version")


def _places(models: Sequence[Model]) -> list[str]:
    if not isinstance(models[0], NewSession):
        return [""] * len(models)
    new = models[0]
    return ["", *(f"{field}.{at}." for field in _CHILDREN for at in range(len(getattr(new, field))))]


def _require_moment(field: str, moment: datetime | None) -> None:
    try:
        _ = moment and moment.astimezone(UTC)
    except OverflowError:
        raise UnstorableError(field, Rule.MOMENT, f"is {moment}, in UTC outside the years 1 to 9999") from None


def _require_json(field: str, value: object, limit: int) -> None:
    try:
        size = _json_size(value, MAX_JSON_DEPTH)
    except _UnfitError as error:
        raise UnstorableError(field, error.rule, str(error)) from None
    except _TooDeepError:
        message = f"is nested {depth_of(value)} deep; the limit is {MAX_JSON_DEPTH} levels"
        raise UnstorableError(field, Rule.DEPTH, message, limit=MAX_JSON_DEPTH) from None
    if size > limit:
        raise UnstorableError(field, Rule.SIZE, f"is {size} bytes as JSON; the limit is {limit}", limit=limit)


def depth_of(value: object) -> int:
    """Return the levels of lists and objects in *value*, however many."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, (dict, list, tuple))]:
        depth += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return depth


class _UnfitError(Exception):
    def __init__(self, rule: Rule, message: str) -> None:
        super().__init__(message)
        self.rule = rule


class _TooDeepError(Exception):
    pass


def _json_size(value: object, depth: int) -> int:
    """Return the bytes of *value* as compact JSON, to within string escapes; raise where it cannot be stored."""
    match value:
        case str():
            return _text_size(value)
        case None | bool():
            return 5
        case int() | float():
            return _number_size(value)
        case list() | tuple() | dict() if depth == 0:
            raise _TooDeepError
        case dict():
            return 2 + sum(2 + _text_size(key) + _json_size(item, depth - 1) for key, item in value.items())
        case list() | tuple():
            return 2 + sum(1 + _json_size(item, depth - 1) for item in value)
        case _:
            raise _UnfitError(Rule.TYPE, f"holds a {type(value).__name__}, which is no JSON value")


def _number_size(value: float) -> int:
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise _UnfitError(Rule.NUMBER, f"holds an integer beyond 64 bits, {_shown(value)}; send it as a string")
        return len(str(value))
    if not math.isfinite(value):
        raise _UnfitError(Rule.NUMBER, "holds NaN or an infinity, which JSON has no number for")
    if abs(value) >= MAX_FLOAT:
        message = f"holds the floating-point number {value!r}; from {MAX_FLOAT:g} on, send an integer or a string"
        raise _UnfitError(Rule.NUMBER, message)
    return 24


def _shown(value: int) -> str:
    # more digits than 4300 Python does not even print
    return str(value) if value.bit_length() <= _SHOWN_BITS else f"of {value.bit_length()} bits"


def _text_size(text: object) -> int:
    if not isinstance(text, str):
        raise _UnfitError(Rule.TYPE, f"has a key of type {type(text).__name__}; JSON objects have string keys")
    found = _UNSTORABLE.search(text)
    if found:
        message = f"holds the character U+{ord(found[0]):04X}, which cannot be stored, at character {found.start() + 1} of a text"
        raise _UnfitError(Rule.CHARACTER, message)
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
