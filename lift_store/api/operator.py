"""What operators see: metrics, and this process's state. Counters tell of others' requests, so they are not public."""

import dataclasses
import json
import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from lift_store.api.operator_token import require_operator
from lift_store.api.probes import details
from lift_store.api.service import VERSION, Service, service_of
from lift_telemetry.exposition import render

METRICS: Final = "/metrics"
STATUS: Final = "/status"
_TEXT: Final[dict[int | str, dict[str, Any]]] = {200: {"description": "Prometheus text or OpenMetrics", "content": {"text/plain": {}}}}

router = APIRouter(tags=["operator"], dependencies=[Depends(require_operator)])


@router.get(METRICS, responses=_TEXT)
async def metrics(
    request: Request,
    accept: Annotated[str, Header()] = "",
    accept_encoding: Annotated[str, Header()] = "",
    name: Annotated[list[str] | None, Query(alias="name[]", description="Only these series.")] = None,
) -> Response:
    """Return every metric of this process; OpenMetrics with exemplars when asked for."""
    registry = service_of(request).registry
    content, headers = await render(registry, accept, accept_encoding, name or ())
    return Response(content, headers=headers)


@router.get(STATUS, responses={200: {"description": "OK", "content": {"application/json": {}}}})
async def status(request: Request) -> Response:
    """Return what this process is and how it does."""
    content = json.dumps(await _state(service_of(request)))
    return Response(content, headers={"Cache-Control": "no-store"}, media_type="application/json")


async def _state(service: Service) -> dict[str, Any]:
    report = await service.health.report()
    snapshot = getattr(service.store, "pool_snapshot", None)
    return {
        "service": "lift-store",
        "version": VERSION,
        "backend": service.settings.backend,
        "phase": service.health.phase,
        "uptime_seconds": round(time.monotonic() - service.started, 3),
        "status": report.status,
        "checks": details(report)["checks"],
        "pool": dataclasses.asdict(snapshot()) if snapshot else None,
    }
