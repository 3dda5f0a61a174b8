"""A request with two Authorization headers is refused: a proxy before us may have judged the other one."""

from __future__ import annotations

from uuid import uuid4

import httpx
import pytest
from prometheus_client import CollectorRegistry

from lift_store import InMemorySessionStore
from lift_store.api.app import create_app
from lift_store.observability import observe_on
from lift_store.protocol import Backend
from lift_store.settings import Settings
from tests.unit.api.tokens import SECRET, hs256, token


@pytest.mark.parametrize("same", [True, False])
async def test_two_tokens_are_none(registry: CollectorRegistry, *, same: bool) -> None:
    """Even the same valid one twice, counted as malformed."""
    settings = Settings.load(backend_choice="memory", jwt_secret=SECRET)
    first = token(uuid4())
    headers = [("Authorization", f"Bearer {first}"), ("Authorization", f"Bearer {first if same else token(uuid4())}")]
    async with InMemorySessionStore(observability=observe_on(registry, Backend.MEMORY)) as store:
        app = create_app(store, verifier=hs256(), settings=settings, registry=registry)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
            answer = await client.get("/api/sessions", headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:lift-store:problem:unauthenticated")
    assert registry.get_sample_value("lift_store_auth_rejections_total", {"reason": "malformed"}) == 1
