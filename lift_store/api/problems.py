"""Every error as an RFC 9457 problem.

A problem's body depends on nothing but what the caller sent and may know: a hidden session's problem is a missing
one's, byte for byte, and no value of a caller's content is sent back.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from lift_store.api.routes import route_of
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
_LIMITS: Final = ("ge", "gt", "le", "lt", "min_length", "max_length", "expected")


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


BAD_REQUEST: Final = Kind("bad-request", 400, "The request cannot be understood")
MALFORMED_BODY: Final = Kind("malformed-body", 400, "The body is not JSON")
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
INVALID: Final = Kind("invalid-request", 422, "The request breaks a limit")
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


def from_store(error: StoreError, *, guarded: bool) -> ProblemError:
    """Translate *error*; *guarded*: the request has an If-Match, so that a conflict is a precondition that failed."""
    match error:
        case ConflictError():
            return _conflict(error, guarded=guarded)
        case InvalidStateError():
            return ProblemError(STATE, str(error))
        case InvalidError():
            entry = {"field": error.field or "request", "message": str(error)}
            return ProblemError(INVALID, str(error), members={"errors": [entry]})
        case UnauthenticatedError():
            return ProblemError(UNAUTHENTICATED, "The token's role may not use sessions.", headers=CHALLENGE)
        case _:
            return _from_table(error)


def _conflict(error: ConflictError, *, guarded: bool) -> ProblemError:
    if not guarded:
        return ProblemError(EXISTS, "You have a session of this id already.")
    members = {} if error.actual_version is None else {"actual_version": error.actual_version}
    return ProblemError(STALE, "If-Match does not name the session's present version.", members=members)


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


def from_validation(error: RequestValidationError) -> ProblemError:
    """List what is wrong by field; only a parameter's value is shown, since a body's is the caller's content."""
    errors = error.errors()
    if any(item["type"] == "json_invalid" for item in errors):
        at = errors[0]["loc"][-1]
        return ProblemError(MALFORMED_BODY, f"The body stops being JSON at character {at}.")
    shown = [_entry(item) for item in errors[:_SHOWN]]
    return ProblemError(INVALID, f"{len(errors)} of the request's values cannot be right.", members={"errors": shown})


def _entry(item: Mapping[str, Any]) -> dict[str, Any]:
    place: Sequence[Any] = item["loc"]
    entry: dict[str, Any] = {"field": ".".join(str(part)[:_SHOWN] for part in place)}
    entry["message"] = str(item["msg"]).removeprefix("Value error, ")
    limit = next((item["ctx"][name] for name in _LIMITS if name in item.get("ctx", {})), None)
    if limit is not None:
        entry["limit"] = limit
    if place[0] != "body" and isinstance(item.get("input"), str):
        entry["value"] = item["input"][:_SHOWN]
    return entry


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
        return respond(from_store(error, guarded=getattr(request.state, "guarded", False)))

    async def validation_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
        return respond(from_validation(error))

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - as above
        return respond(from_http(error, allow=(allowed or {}).get(route_of(request.scope))))

    app.add_exception_handler(StoreError, store_error)
    app.add_exception_handler(RequestValidationError, validation_error)
    app.add_exception_handler(HTTPException, http_error)
