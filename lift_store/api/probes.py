"""The health endpoints. Live never waits for anything; ready and health answer from bounded, cached checks."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request, Response

from lift_store.api.health import Status
from lift_store.api.operator_token import is_operator
from lift_store.api.service import VERSION, service_of

if TYPE_CHECKING:
    from lift_store.api.health import Report

MEDIA_TYPE: Final = "application/health+json"
LIVE: Final = "/health/live"
READY: Final = "/health/ready"
HEALTH: Final = "/health"
_OK: Final = {"description": "pass or warn", "content": {MEDIA_TYPE: {"example": {"status": "pass"}}}}
_FAIL: Final = {"description": "fail", "content": {MEDIA_TYPE: {"example": {"status": "fail"}}}}

router = APIRouter(tags=["health"])


@router.get(LIVE, responses={200: _OK})
async def live(_: Request) -> Response:
    """Say that this process runs. It never touches the database: a restart would not mend that."""
    return answer(Status.PASS)


@router.get(READY, responses={200: _OK, 503: _FAIL})
async def ready(request: Request) -> Response:
    """Say whether to send traffic here: 503 only for this instance's own reasons, a dead database is a warning."""
    status, why = await service_of(request).health.readiness()
    return answer(status, **({"output": why} if why else {}))


@router.get(HEALTH, responses={200: _OK, 503: _FAIL})
async def health(request: Request) -> Response:
    """Say whether the service is well; operators get the details."""
    report = await service_of(request).health.report()
    return answer(report.status, **(details(report) if is_operator(request) else {}))


def answer(status: Status, **members: Any) -> Response:
    """Return an application/health+json answer."""
    code = 503 if status is Status.FAIL else 200
    content = json.dumps({"status": status, **members}, separators=(",", ":"))
    return Response(content, code, {"Cache-Control": "no-store"}, MEDIA_TYPE)


def details(report: Report) -> dict[str, Any]:
    """Return what operators see: each check, what it found, and how long that took."""
    moment = datetime.fromtimestamp(report.time, UTC).isoformat()
    checks = {
        name: [
            {
                "status": result.status,
                "observedValue": round(result.seconds * 1000, 3),
                "observedUnit": "ms",
                "time": moment,
                **({"output": result.output} if result.output else {}),
            }
        ]
        for name, result in report.checks.items()
    }
    return {"serviceId": "lift-store", "releaseId": VERSION, "checks": checks}
