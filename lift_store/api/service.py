"""What the routes of one running service share."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from starlette.requests import Request

    from lift_store.api.auth import Verifier
    from lift_store.api.health import Health
    from lift_store.api.metrics import ApiMetrics
    from lift_store.factory import ObservedStore
    from lift_store.manager import SpecSessionManager
    from lift_store.settings import Settings


def _version() -> str:
    try:
        return version("lift-store")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "unknown"


VERSION: Final = _version()


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one running service, made once by whoever starts it."""

    store: ObservedStore
    manager: SpecSessionManager
    verifier: Verifier
    settings: Settings
    registry: CollectorRegistry
    metrics: ApiMetrics
    health: Health
    started: float = field(default_factory=time.monotonic)


def service_of(request: Request) -> Service:
    """Return the service that *request* came to."""
    service: Service = request.app.state.service
    return service
