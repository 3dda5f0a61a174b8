"""The API over a real in-memory store, called in process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import httpx
import pytest
from prometheus_client import CollectorRegistry

from lift_store.api.app import api_app, create_operator_app, make_service
from lift_store.api.health import Phase
from lift_store.api.service import Service
from lift_store.factory import build_store
from lift_store.settings import Settings
from tests.unit.api.tokens import SECRET, hs256, token

OPERATOR_TOKEN = "an-operator-token-of-this-test"  # noqa: S105 - of a test


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Give settings that do not depend on who runs the tests."""
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.validation_alias), raising=False)
    return Settings.load(backend_choice="memory", jwt_secret=SECRET, max_body_bytes=65_536)


@pytest.fixture
async def service(settings: Settings, registry: CollectorRegistry) -> AsyncIterator[Service]:
    """Run a service."""
    async with build_store(settings, registry) as store:
        made = make_service(store, verifier=hs256(), settings=settings, registry=registry)
        made.health.phase = Phase.SERVING
        yield made


@pytest.fixture
def user() -> UUID:
    """Return who calls."""
    return uuid4()


@pytest.fixture
async def stranger(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client without a token."""
    transport = httpx.ASGITransport(api_app(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client


@pytest.fixture
async def client(stranger: httpx.AsyncClient, user: UUID) -> httpx.AsyncClient:
    """Give a client of a signed-in user."""
    stranger.headers["Authorization"] = f"Bearer {token(user)}"
    return stranger


@pytest.fixture
async def operator(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the operator port."""
    transport = httpx.ASGITransport(create_operator_app(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://operator") as client:
        yield client
