"""The two applications: the API that callers reach, and the operator's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, FastAPI

from lift_store.api import operator, probes, problems, sessions
from lift_store.api.documents import document
from lift_store.api.health import Health, Phase, database_check, keys_check, schema_check
from lift_store.api.metrics import ApiMetrics
from lift_store.api.middleware import Observe
from lift_store.api.routes import UNMATCHED, allowed_methods, templates
from lift_store.api.service import VERSION, Service
from lift_store.manager import SpecSessionManager

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from prometheus_client import CollectorRegistry

    from lift_store.api.auth import Verifier
    from lift_store.api.health import Result
    from lift_store.api.jwks import KeySet
    from lift_store.factory import ObservedStore
    from lift_store.settings import Settings

_DESCRIPTION: Final = "Sessions of prompt refinement, each its owner's alone."


def make_service(
    store: ObservedStore,
    *,
    verifier: Verifier,
    settings: Settings,
    registry: CollectorRegistry,
    keys: KeySet | None = None,
    manager: SpecSessionManager | None = None,
) -> Service:
    """Put the parts of a service together. It is `starting` until its health's phase says otherwise."""
    metrics = ApiMetrics(store.observability.instruments)
    health = Health(_checks(store, metrics, keys), timeout=settings.health_timeout, publish=metrics.health)
    metrics.build(VERSION, settings.backend)
    return Service(store, manager or SpecSessionManager(store), verifier, settings, registry, metrics, health)


def create_app(
    store: ObservedStore,
    *,
    verifier: Verifier,
    settings: Settings,
    registry: CollectorRegistry,
    keys: KeySet | None = None,
) -> FastAPI:
    """Return the API over *store*, which must be open, for whoever serves it: it counts as ready from the start."""
    service = make_service(store, verifier=verifier, settings=settings, registry=registry, keys=keys)
    service.health.phase = Phase.SERVING
    return api_app(service)


def api_app(service: Service) -> FastAPI:
    """Return the application of the API port."""
    app = _bare(service, "lift-store", operator_port=False)
    _route(app, sessions.router, probes.router)
    if service.settings.operator_token:
        # without a token they are not there at all: not even a 401 tells that they could be
        _route(app, operator.router)
    problems.install(app, allowed_methods(app))
    document(app)
    service.metrics.expect([*templates(app), ("GET", UNMATCHED)])
    app.add_middleware(Observe, metrics=service.metrics)
    return app


def create_operator_app(service: Service) -> FastAPI:
    """Return the application of the operator port; whoever reaches that port is an operator."""
    app = _bare(service, "lift-store operator", operator_port=True)
    _route(app, operator.router, probes.router)
    problems.install(app, allowed_methods(app))
    app.add_middleware(Observe)
    return app


def _bare(service: Service, title: str, *, operator_port: bool) -> FastAPI:
    app = FastAPI(
        title=title,
        version=VERSION,
        description=_DESCRIPTION,
        redirect_slashes=False,
        openapi_url=None if operator_port else "/openapi.json",
        # its log records quote what callers sent, and its metrics are ours a second time
        telemetry={"logs": False, "metrics": False},
    )
    app.state.service = service
    app.state.operator_port = operator_port
    return app


def _route(app: FastAPI, *routers: APIRouter) -> None:
    # not included, which would make FastAPI match every request twice; and before its own routes, of pages that few ask for
    app.router.routes[:0] = [route for router in routers for route in router.routes]


def _checks(store: ObservedStore, metrics: ApiMetrics, keys: KeySet | None) -> dict[str, Callable[[], Awaitable[Result]]]:
    checks = {"database": database_check(store.ping)}
    schema_state = getattr(store, "schema_state", None)  # memory has no schema
    if schema_state:
        checks["schema"] = schema_check(schema_state, metrics.migrations)
    if keys:
        checks["jwks"] = keys_check(keys)
    return checks
