"""Around every request: its id, one log line, one observation. Pure ASGI, so that an answer's last byte counts too."""

from __future__ import annotations

import re
import time
import traceback
from pathlib import PurePath
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import structlog

from lift_store.api.problems import INTERNAL, INTERNAL_DETAIL, ProblemError, respond
from lift_store.api.routes import route_of
from lift_store.context import request_id

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from lift_store.api.metrics import ApiMetrics

_ID_HEADER: Final = b"x-request-id"
_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_FRAMES: Final = 8
_log = structlog.get_logger("lift_store.api")


class Observe:
    """Names, logs and measures each request, and answers 500 for what nothing else caught.

    A sane X-Request-ID of the caller's is the request's id, else it gets one; the answer has it. An exception's own text is not logged,
    because it may quote what the caller sent; its type and place are.
    """

    def __init__(self, app: ASGIApp, *, metrics: ApiMetrics | None = None) -> None:
        self._app = app
        self._metrics = metrics
        self._log = _log.bind()  # configured by now; each use of the other would look the configuration up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        name, status = _id_of(scope), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), (_ID_HEADER, name.encode())]}
            await send(message)

        token = request_id.set(name)
        try:
            await self._app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001 - the last resort: whatever it is, the caller gets an answer
            _log.error("request_failed", request_id=name, error=type(error).__name__, at=_places(error))
            if not status:
                await respond(ProblemError(INTERNAL, INTERNAL_DETAIL))(scope, receive, watched)
        finally:
            request_id.reset(token)
            # a request that ends without an answer was cancelled by the shutdown: the service's doing
            self._record(scope, name, status or INTERNAL.status, time.perf_counter() - started)

    def _record(self, scope: Scope, name: str, status: int, seconds: float) -> None:
        template = route_of(scope)
        if self._metrics:
            self._metrics.request(scope["method"], template, status, seconds)
        # scrapes and probes of operators come every few seconds: not worth a line
        report = self._log.info if self._metrics else self._log.debug
        report(
            "request",
            request_id=name,
            method=scope["method"] if scope["method"].isalpha() else "_OTHER",
            route=template,
            status=status,
            duration_ms=round(seconds * 1000, 3),
        )


def _id_of(scope: Scope) -> str:
    sent = next((value for name, value in scope["headers"] if name == _ID_HEADER), b"")
    return sent.decode() if _SANE_ID.fullmatch(sent) else uuid4().hex


def _places(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return [f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
