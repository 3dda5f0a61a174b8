"""Every error as an RFC 9457 problem.

A problem's body depends on nothing but what the caller sent and may know: a hidden session's problem is a missing
one's, byte for byte. It names field, value and limit, but no text and no document of a caller is sent back.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from lift_store.api.routes import route_of
from lift_store.checks import Rule, UnstorableError
from lift_store.errors import (
    ConflictError,
    DeadlineError,
    DeniedError,
    FailureError,
    InvalidError,
    InvalidStateError,
    NotFoundError,
    SaturatedError,
    StoreError,
    UnauthenticatedError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastapi import FastAPI
    from starlette.requests import Request

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = 1
"""Seconds, where the failure itself gives no hint."""
_SHOWN: Final = 100
"""Characters of a name or of a parameter's value that a problem repeats."""
_WORD: Final = re.compile(r"[A-Za-z0-9_.:+-]{1,40}", re.ASCII)
"""A value of a body that is short and harmless enough to repeat; a sentence is not."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LIMITS: Final = ("ge", "gt", "le", "lt", "min_length", "max_length", "expected")
DOCUMENTS: Final = frozenset({"metadata", "ir", "smt_results"})


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of problem: `type` is stable, clients may switch on it."""

    slug: str
    status: int
    title: str

    @property
    def type(self) -> str:
        """The URI that identifies this sort of problem."""
        return f"urn:lift-store:problem:{self.slug}"


MALFORMED_BODY: Final = Kind("malformed-body", 400, "The body is not JSON")
DUPLICATE_KEY: Final = Kind("duplicate-key", 400, "An object of the body has a key twice")
MALFORMED_URL: Final = Kind("malformed-url", 400, "The URL is not UTF-8")
BAD_HEADER: Final = Kind("bad-header", 400, "A header cannot be understood")
UNAUTHENTICATED: Final = Kind("unauthenticated", 401, "A valid bearer token is needed")
DENIED: Final = Kind("denied", 403, "The database refused")
NOT_FOUND: Final = Kind("session-not-found", 404, "There is no such session")
UNKNOWN_ROUTE: Final = Kind("unknown-route", 404, "There is nothing at this path")
METHOD: Final = Kind("method-not-allowed", 405, "This path does not take that method")
EXISTS: Final = Kind("session-exists", 409, "The session exists already")
STATE: Final = Kind("invalid-state", 409, "The session's state does not allow it")
STALE: Final = Kind("stale-version", 412, "The session has moved on")
TOO_LARGE: Final = Kind("body-too-large", 413, "The body is too large")
NOT_JSON: Final = Kind("unsupported-media-type", 415, "The body's type is not application/json")
ENCODED: Final = Kind("unsupported-content-encoding", 415, "The body is compressed")
INVALID: Final = Kind("invalid-request", 422, "The request breaks a limit")
MALFORMED_ID: Final = Kind("malformed-id", 422, "An id is not a UUID")
MALFORMED_TIME: Final = Kind("malformed-time", 422, "A time cannot be understood or stored")
UNKNOWN_VALUE: Final = Kind("unknown-value", 422, "A value is none of those that there are")
UNKNOWN_FIELD: Final = Kind("unknown-field", 422, "There is no such field")
MISSING: Final = Kind("missing-field", 422, "A field is missing")
WRONG_TYPE: Final = Kind("wrong-type", 422, "A value has the wrong type")
WRONG_LENGTH: Final = Kind("wrong-length", 422, "A text or a list is too short or too long")
OUT_OF_RANGE: Final = Kind("number-out-of-range", 422, "A number is outside its range")
BAD_TEXT: Final = Kind("unstorable-text", 422, "A text has a character that cannot be stored")
TOO_DEEP: Final = Kind("nested-too-deep", 422, "A JSON document is nested too deep")
BIG_DOCUMENT: Final = Kind("document-too-large", 422, "A JSON document is too large")
BAD_CURSOR: Final = Kind("invalid-cursor", 422, "The cursor was not made by this list")
KEY_REUSED: Final = Kind("idempotency-key-reused", 422, "The Idempotency-Key was used for another request")
NO_IF_MATCH: Final = Kind("if-match-required", 428, "An If-Match header is needed")
INTERNAL: Final = Kind("internal", 500, "The service failed")
UNAVAILABLE: Final = Kind("unavailable", 503, "The service cannot answer now")
SATURATED: Final = Kind("saturated", 503, "The service is busy")
TIMEOUT: Final = Kind("timeout", 503, "The database did not answer in time")


class ProblemError(HTTPException):
    """A problem on its way out; an HTTPException, because FastAPI swallows other exceptions while it reads a body."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(kind.status, detail, headers)
        self.kind = kind
        self.members = members or {}


def refuse(kind: Kind, field: str, message: str, *, headers: Mapping[str, str] | None = None, **found: Any) -> ProblemError:
    """Return the problem of one *field*, about which *message* is a predicate; *found*: its value and its limit."""
    return ProblemError(kind, f"{field} {message}.", headers=headers, members={"errors": [_error(kind, field, message, **found)]})


def _error(kind: Kind, field: str, message: str, **found: Any) -> dict[str, Any]:
    return {"field": field, "type": kind.type, "message": message} | {name: item for name, item in found.items() if item is not None}


def shown(text: str) -> str:
    """Return *text* as a problem may repeat it: its first characters, lone surrogates escaped."""
    return text[:_SHOWN].encode("utf-8", "backslashreplace").decode()


def respond(problem: ProblemError) -> Response:
    """Return the response of *problem*; its members are RFC 9457 extensions."""
    kind = problem.kind
    body = {"type": kind.type, "title": kind.title, "status": kind.status, "detail": problem.detail, **problem.members}
    content = json.dumps(body, separators=(",", ":")).encode()
    return Response(content, kind.status, {"Cache-Control": "no-store", **(problem.headers or {})}, MEDIA_TYPE)


# the first that fits counts: InvalidStateError is an InvalidError
_OF_STORE: Final[tuple[tuple[type[StoreError], Kind, str], ...]] = (
    (NotFoundError, NOT_FOUND, "No session of yours has this id."),
    (DeniedError, DENIED, "The database's policies do not allow this."),
    (DeadlineError, TIMEOUT, "A write may or may not have happened: repeat it with the same Idempotency-Key."),
    (SaturatedError, SATURATED, "Every database connection is in use."),
    (UnavailableError, UNAVAILABLE, "The database cannot be reached."),
)


def from_store(error: StoreError, *, guarded: bool, key: str | None = None) -> ProblemError:
    """Translate *error*; *guarded*: the request has an If-Match, so that a conflict is a precondition that failed; *key*: its operation."""
    match error:
        case ConflictError():
            return _conflict(error, guarded=guarded)
        case InvalidStateError():
            return ProblemError(STATE, str(error))
        case InvalidError():
            return _invalid(error, key)
        case UnauthenticatedError():
            return ProblemError(UNAUTHENTICATED, "The token's role may not use sessions.", headers=CHALLENGE)
        case _:
            return _from_table(error)


def _conflict(error: ConflictError, *, guarded: bool) -> ProblemError:
    if not guarded:
        return ProblemError(EXISTS, "You have a session of this id already.")
    members = {} if error.actual_version is None else {"actual_version": error.actual_version}
    return ProblemError(STALE, "If-Match does not name the session's present version.", members=members)


_OF_RULE: Final = {
    Rule.CHARACTER: BAD_TEXT,
    Rule.NUMBER: OUT_OF_RANGE,
    Rule.DEPTH: TOO_DEEP,
    Rule.SIZE: BIG_DOCUMENT,
    Rule.TYPE: WRONG_TYPE,
    Rule.MOMENT: MALFORMED_TIME,
}


def _invalid(error: InvalidError, key: str | None) -> ProblemError:
    if error.field == "operation_id":
        return refuse(KEY_REUSED, "header.Idempotency-Key", "was used before, for another request; make a new one", value=key)
    if error.field == "cursor":
        return refuse(BAD_CURSOR, "query.cursor", _OF_ERROR["cursor"][1])
    kind, limit = INVALID, None
    if isinstance(error, UnstorableError):
        kind, limit = _OF_RULE[error.rule], error.limit
    field = f"body.{error.field}" if error.field else "body"
    return ProblemError(kind, str(error), members={"errors": [_error(kind, field, str(error), limit=limit)]})


def _from_table(error: StoreError) -> ProblemError:
    headers = _retry(error) if isinstance(error, FailureError) else None
    for sort, kind, detail in _OF_STORE:
        if isinstance(error, sort):
            return ProblemError(kind, detail, headers=headers)
    return ProblemError(INTERNAL, INTERNAL_DETAIL)


def _retry(error: FailureError) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(error.retry_after or RETRY_AFTER)))}


CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}
INTERNAL_DETAIL: Final = "The fault is the service's own; its log has the request id."


_OF_ERROR: Final[dict[str, tuple[Kind, str]]] = {
    "enum": (UNKNOWN_VALUE, "is none of the values that there are; it takes {expected}"),
    "extra_forbidden": (UNKNOWN_FIELD, "is no field of this request"),
    "missing": (MISSING, "is missing"),
    "nul": (BAD_TEXT, "has NUL at character {at}"),
    "string_unicode": (BAD_TEXT, "has a lone surrogate at character {surrogate}"),
    "string_too_short": (WRONG_LENGTH, "is too short; it takes at least {min_length} character"),
    "string_too_long": (WRONG_LENGTH, "is {length} characters long; it takes at most {max_length}"),
    "too_long": (WRONG_LENGTH, "has {actual_length} entries; it takes at most {max_length}"),
    "greater_than_equal": (OUT_OF_RANGE, "is less than {ge}"),
    "less_than_equal": (OUT_OF_RANGE, "is greater than {le}"),
    "int_parsing_size": (OUT_OF_RANGE, "is beyond 64 bits"),
    "cursor": (BAD_CURSOR, "was not made by this list; pass next_cursor unchanged"),
}
"""By pydantic's type of error; what is not here is of the wrong type, in pydantic's words."""
_OF_PREFIX: Final = (("uuid", MALFORMED_ID), ("datetime", MALFORMED_TIME), ("timezone", MALFORMED_TIME))


def from_validation(error: RequestValidationError) -> ProblemError:
    """List what is wrong by field; of a body's values only those that are one word are shown, never a text or a document."""
    errors = error.errors()
    entries = [_entry(item) for item in errors[:_SHOWN]]
    kinds = {kind.type: kind for kind, _ in entries}
    members = {"errors": [entry for _, entry in entries]}
    if len(errors) == 1:
        kind, entry = entries[0]
        return ProblemError(kind, f"{entry['field']} {entry['message']}.", members=members)
    kind = INVALID if len(kinds) > 1 else next(iter(kinds.values()))
    return ProblemError(kind, f"{len(errors)} of the request's values cannot be right.", members=members)


def _entry(item: Mapping[str, Any]) -> tuple[Kind, dict[str, Any]]:
    context = _measure(item.get("input")) | item.get("ctx", {})
    kind, message = _of_error(str(item["type"]), str(item["msg"]))
    limit = next((context[name] for name in _LIMITS if name in context), None)
    place = field_name(item["loc"])
    return kind, _error(kind, place, message.format_map(context), value=_value(place, item, kind), limit=limit)


def _measure(sent: Any) -> dict[str, Any]:
    if not isinstance(sent, str):
        return {}
    found = _SURROGATE.search(sent)
    return {"length": len(sent), "surrogate": found and found.start() + 1}


def _of_error(name: str, message: str) -> tuple[Kind, str]:
    if name in _OF_ERROR:
        return _OF_ERROR[name]
    escaped = message.replace("{", "{{").replace("}", "}}")
    return next((kind for prefix, kind in _OF_PREFIX if name.startswith(prefix)), WRONG_TYPE), f"cannot be right: {escaped}"


def field_name(place: Sequence[Any]) -> str:
    """Return the name of the field at *place*; the inside of a document is its caller's, so the name ends there."""
    parts = [shown(str(part)) for part in place]
    end = next((at for at, part in enumerate(parts) if at and part in DOCUMENTS), len(parts))
    return ".".join(parts[: end + 1])


def _value(field: str, item: Mapping[str, Any], kind: Kind) -> Any:
    found = item.get("input")
    if isinstance(found, str) and not field.startswith("body"):
        return shown(found)
    if kind in (WRONG_LENGTH, BAD_TEXT, MISSING, UNKNOWN_FIELD) or field.rpartition(".")[2] in DOCUMENTS:
        return None
    is_scalar = isinstance(found, (str, int, float)) and _WORD.fullmatch(str(found))
    return found if is_scalar else None


def from_http(error: HTTPException, *, allow: str | None) -> ProblemError:
    """Translate what the framework raises; *allow*: the path's methods, where it knows those of one route only."""
    if isinstance(error, ProblemError):
        return error
    if error.status_code == HTTPStatus.NOT_FOUND:
        return ProblemError(UNKNOWN_ROUTE, "No route of this service matches.")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return ProblemError(METHOD, f"It takes {allow}.", headers={"Allow": allow} if allow else error.headers)
    return ProblemError(MALFORMED_BODY, "The body cannot be read as JSON.")


def install(app: FastAPI, allowed: Mapping[str, str] | None = None) -> None:
    """Answer every error of *app* as a problem."""

    async def store_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, StoreError)  # noqa: S101 - the registration below says so; narrows the type
        key = getattr(request.state, "idempotency_key", None)
        return respond(from_store(error, guarded=getattr(request.state, "guarded", False), key=key))

    async def validation_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
        return respond(from_validation(error))

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - as above
        return respond(from_http(error, allow=(allowed or {}).get(route_of(request.scope))))

    app.add_exception_handler(StoreError, store_error)
    app.add_exception_handler(RequestValidationError, validation_error)
    app.add_exception_handler(HTTPException, http_error)
