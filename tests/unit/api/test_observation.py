"""What a request leaves behind: a request id, one log line, one observation; and never content."""

from __future__ import annotations

import re
from uuid import uuid4

import httpx
import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from lift_store.api.app import api_app
from lift_store.api.routes import templates
from lift_store.api.service import Service

NAME = "lift_store_http_request_duration_seconds_count"


def count(registry: CollectorRegistry, method: str, route: str, status_class: str) -> float | None:
    return registry.get_sample_value(NAME, {"method": method, "route": route, "status_class": status_class})


@pytest.mark.parametrize("sent", ["ab-12_3.X", "0b7b6c1e9a554c838f0e5f2a4f0a8a11"])
async def test_a_sane_request_id_is_kept(stranger: httpx.AsyncClient, sent: str) -> None:
    """A caller's own id comes back, so that his log and ours can be joined."""
    answer = await stranger.get("/health/live", headers={"X-Request-ID": sent})
    assert sent == answer.headers["X-Request-ID"]


@pytest.mark.parametrize("sent", [None, "", "a b", "x" * 129, "a\x7f", '{"a":1}'])
async def test_another_request_id_is_replaced(stranger: httpx.AsyncClient, sent: str | None) -> None:
    """What could break a log is not taken over."""
    answer = await stranger.get("/health/live", headers={} if sent is None else {"X-Request-ID": sent})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])


async def test_requests_are_measured_by_template(client: httpx.AsyncClient, registry: CollectorRegistry) -> None:
    """Ids never become labels; unknown paths and methods share one label each."""
    route = "/api/sessions/{session_id}/holes/{hole_id}/resolve"
    for _ in range(3):
        await client.post(f"/api/sessions/{uuid4()}/holes/{uuid4()}/resolve", json={"resolution_text": "x"})
        await client.get(f"/{uuid4()}")
        await client.request("PURGE", "/api/sessions")
    assert (
        count(registry, "POST", route, "4xx"),
        count(registry, "GET", "unmatched", "4xx"),
        count(registry, "_OTHER", "/api/sessions", "4xx"),
    ) == (3, 3, 3)


async def test_known_routes_are_there_at_zero(service: Service, registry: CollectorRegistry) -> None:
    """Each route has its series before its first request."""
    app = api_app(service)
    known = list(templates(app))
    assert ("PATCH", "/api/sessions/{session_id}") in known
    for method, route in known:
        assert [count(registry, method, route, f"{digit}xx") for digit in range(2, 6)] == [0, 0, 0, 0]


async def test_ten_thousand_ids_add_no_series(client: httpx.AsyncClient, registry: CollectorRegistry) -> None:
    """The number of series does not grow with sessions."""

    def series() -> int:
        return sum(len(family.samples) for family in registry.collect())

    await client.get(f"/api/sessions/{uuid4()}")
    before = series()
    for _ in range(50):
        await client.get(f"/api/sessions/{uuid4()}")
    assert before == series()


async def test_one_line_is_logged_without_content(client: httpx.AsyncClient) -> None:
    """Id, method, template, status and duration; no query, no body, no token."""
    structlog.reset_defaults()
    with capture_logs() as lines:
        await client.post("/api/sessions?cursor=secret", json={"revisions": [{"content": "secret"}]})
    (line,) = [line for line in lines if line["event"] == "request"]
    assert {"event", "log_level", "request_id", "method", "route", "status", "duration_ms"} == set(line)
    assert (line["method"], line["route"], line["status"]) == ("POST", "/api/sessions", 201)
    assert "secret" not in str(lines)
    assert client.headers["Authorization"] not in str(lines)
