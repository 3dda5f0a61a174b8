"""What a request passes before its route: token, then type and size of its body. A stranger's body is never read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi.routing import APIRoute
from starlette.requests import Request

from lift_store.api.auth import KeysUnavailableError, RejectedError
from lift_store.api.problems import CHALLENGE, NOT_JSON, TOO_LARGE, UNAUTHENTICATED, UNAVAILABLE, ProblemError
from lift_store.api.service import service_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.responses import Response
    from starlette.types import Message, Receive

    from lift_store.principal import Principal

_INVALID_TOKEN: Final = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class GuardedRoute(APIRoute):
    """A route for verified callers only; `request.state.principal` is who calls.

    A route class rather than a dependency, because FastAPI reads and parses the body before it runs any dependency.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with the guard before it."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            request.state.principal = await authenticate(request)
            limit = service_of(request).settings.max_body_bytes
            check_body(request, limit)
            return await handle(Request(request.scope, limited(request.receive, limit)))

        return guarded


async def authenticate(request: Request) -> Principal:
    """Return the verified caller; raise a problem, counted by reason: 401 if there is none, 503 if none can tell."""
    service = service_of(request)
    try:
        return await service.verifier.verify(bearer(request))
    except RejectedError as error:
        service.metrics.reject(error.reason)
        headers = CHALLENGE if error.reason == "missing" else _INVALID_TOKEN
        raise ProblemError(UNAUTHENTICATED, str(error), headers=headers) from None
    except KeysUnavailableError as error:
        service.metrics.reject(error.reason)
        retry = {"Retry-After": str(round(error.retry_after))}
        raise ProblemError(UNAVAILABLE, str(error), headers=retry) from None


def bearer(request: Request) -> str:
    """Return the token of the Authorization header; RejectedError if there is none."""
    header = request.headers.get("authorization")
    if header is None:
        raise RejectedError("missing", "Send a token: Authorization: Bearer <token>.")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise RejectedError("malformed", "The Authorization header is not: Bearer <token>.")
    return token.strip()


def check_body(request: Request, limit: int) -> None:
    """Refuse by its head alone a body that is announced too large, or is not JSON."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limit:
        raise _too_large(limit)
    if length == "0" and "transfer-encoding" not in request.headers:
        return
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ProblemError(NOT_JSON, "Send the body as JSON with Content-Type: application/json.")


def limited(receive: Receive, limit: int) -> Receive:
    """Stop reading where more than *limit* bytes come: a chunked body announces no length."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise _too_large(limit)
        return message

    return counted


def _too_large(limit: int) -> ProblemError:
    # the rest of the body is never read, so the connection cannot carry another request
    return ProblemError(TOO_LARGE, f"A body may have at most {limit} bytes.", headers={"Connection": "close"}, members={"limit": limit})
