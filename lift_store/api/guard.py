"""What a request passes before its route: token, URL, then type, size and JSON of its body. A stranger's body is never read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from fastapi.routing import APIRoute
from starlette.requests import Request

from lift_store.api.auth import KeysUnavailableError, RejectedError
from lift_store.api.bodies import parse
from lift_store.api.documents import SECURED
from lift_store.api.problems import (
    CHALLENGE,
    ENCODED,
    MALFORMED_URL,
    NOT_JSON,
    TOO_LARGE,
    UNAUTHENTICATED,
    UNAVAILABLE,
    ProblemError,
    refuse,
    shown,
)
from lift_store.api.service import service_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.responses import Response
    from starlette.types import Message, Receive

    from lift_store.principal import Principal

_LONGEST_LENGTH: Final = 18
"""Digits of a Content-Length; Python does not even read more than 4300."""
_INVALID_TOKEN: Final = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class GuardedRoute(APIRoute):
    """A route for verified callers only; `caller(request)` is who calls.

    A route class rather than a dependency, because FastAPI reads and parses the body before it runs any dependency.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options | {"openapi_extra": SECURED | (options.get("openapi_extra") or {})})

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with the guard before it."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            request.state.principal = await authenticate(request)
            check_url(request)
            if self.body_field:  # of other requests no body is read
                limit = service_of(request).settings.max_body_bytes
                check_body(request, limit)
                request = _Request(request.scope, limited(request.receive, limit))
            return await handle(request)

        return guarded


class _Request(Request):
    async def json(self) -> Any:
        return parse(await self.body())


def caller(request: Request) -> Principal:
    """Return the verified caller of a guarded route."""
    principal: Principal = request.state.principal
    return principal


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
    headers = request.headers.getlist("authorization")
    if not headers:
        raise RejectedError("missing", "Send a token: Authorization: Bearer <token>.")
    scheme, _, token = ", ".join(headers).partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise RejectedError("malformed", "The Authorization header is not: Bearer <token>.")
    return token.strip()


def check_url(request: Request) -> None:
    """Refuse what is no UTF-8 when its percent signs are decoded: the server put U+FFFD there, another text than was sent."""
    path = request.scope.get("raw_path") or b""
    for field, raw in (("path", path), ("query", request.scope["query_string"])):
        if b"%" not in raw and raw.isascii():
            continue
        try:
            unquote_to_bytes(raw).decode()
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise refuse(MALFORMED_URL, field, f"has the byte %{byte:02X} where UTF-8 has none, at byte {error.start + 1}") from None


def check_body(request: Request, limit: int) -> None:
    """Refuse by its head alone a body that is announced too large, or is not plain JSON."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and (len(length) > _LONGEST_LENGTH or int(length) > limit):
        raise _too_large(limit, f"is announced as {shown(length)} bytes")
    if length == "0" and "transfer-encoding" not in request.headers:
        return
    encoding = request.headers.get("content-encoding", "identity").strip()
    if encoding.lower() != "identity":
        message = "takes no compressed body; leave it out"
        raise refuse(ENCODED, "header.Content-Encoding", message, value=shown(encoding), headers={"Accept-Encoding": "identity"})
    media = request.headers.get("content-type", "")
    if media.partition(";")[0].strip().lower() != "application/json":
        raise refuse(NOT_JSON, "header.Content-Type", "takes application/json", value=shown(media), headers={"Accept": "application/json"})


def limited(receive: Receive, limit: int) -> Receive:
    """Stop reading where more than *limit* bytes come: a chunked body announces no length."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise _too_large(limit, "goes on")
        return message

    return counted


def _too_large(limit: int, problem: str) -> ProblemError:
    # the rest of the body is never read, so the connection cannot carry another request
    return refuse(TOO_LARGE, "body", f"{problem}; it may have at most {limit} bytes", limit=limit, headers={"Connection": "close"})
