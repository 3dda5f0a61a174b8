"""The operator port, and the same on the API port behind its token."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text

from lift_store.api.app import api_app
from lift_store.api.service import Service
from lift_store.settings import Settings
from tests.unit.api.conftest import OPERATOR_TOKEN

OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


async def test_metrics_are_there_without_redirect(operator: httpx.AsyncClient) -> None:
    """GET /metrics answers at that very path, in Prometheus' text by default."""
    answer = await operator.get("/metrics", follow_redirects=False)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "lift_store_operations" in {family.name for family in text(answer.text)}
    assert (await operator.post("/metrics")).status_code == 405
    assert (await operator.get("/metrics/")).status_code == 404


async def test_openmetrics_is_given_when_asked_for(operator: httpx.AsyncClient) -> None:
    """A scraper that accepts OpenMetrics gets it, complete to its end mark."""
    answer = await operator.get("/metrics", headers=OPENMETRICS)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    assert "lift_store_build_info" in {family.name for family in openmetrics(answer.text)}  # type: ignore[no-untyped-call] # prometheus_client's


async def test_a_scrape_can_be_compressed(operator: httpx.AsyncClient) -> None:
    """A scraper that takes gzip gets it."""
    answer = await operator.get("/metrics", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "lift_store_operations_total" in answer.text


async def test_a_scrape_can_ask_for_some_series(operator: httpx.AsyncClient) -> None:
    """name[] narrows the answer, as in Prometheus' own clients."""
    answer = await operator.get("/metrics", params={"name[]": "lift_store_build_info"})
    assert {"lift_store_build_info"} == {family.name for family in text(answer.text)}


async def test_status_tells_what_runs(operator: httpx.AsyncClient) -> None:
    """Version, backend, uptime, phase and checks, as JSON."""
    found = (await operator.get("/status")).json()
    assert (found["backend"], found["phase"], found["status"], found["pool"]) == ("memory", "serving", "pass", None)
    assert found["uptime_seconds"] >= 0
    assert found["checks"]["database"][0]["status"] == "pass"


async def test_health_has_details_for_operators(operator: httpx.AsyncClient) -> None:
    """Each check, what it found and how long it took."""
    found = (await operator.get("/health")).json()
    assert {"status", "observedValue", "observedUnit", "time"} == set(found["checks"]["database"][0])
    assert (await operator.get("/health/live")).status_code == 200


@pytest.fixture
def guarded(service: Service, settings: Settings) -> httpx.ASGITransport:
    """Give the API port of a service with an operator token."""
    with_token = Settings.load(backend_choice="memory", jwt_secret=settings.jwt_secret, operator_token=OPERATOR_TOKEN)
    return httpx.ASGITransport(api_app(replace(service, settings=with_token)))


@pytest.mark.parametrize("path", ["/metrics", "/status"])
async def test_the_api_port_asks_for_the_operator_token(guarded: httpx.ASGITransport, path: str) -> None:
    """With a token configured: 401 without it or with another, the same answer as on the operator port with it."""
    async with httpx.AsyncClient(transport=guarded, base_url="http://api") as client:
        for header in (None, "Bearer", "Bearer wrong", f"Basic {OPERATOR_TOKEN}", "Bearer \xe9"):
            answer = await client.get(path, headers={b"Authorization": header.encode("latin-1")} if header else {})
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert (await client.get(path, headers={"Authorization": f"Bearer {OPERATOR_TOKEN}"})).status_code == 200


async def test_health_tells_strangers_no_detail(guarded: httpx.ASGITransport) -> None:
    """/health is public; its details are the operators'."""
    async with httpx.AsyncClient(transport=guarded, base_url="http://api") as client:
        assert (await client.get("/health")).json() == {"status": "pass"}
        detailed = await client.get("/health", headers={"Authorization": f"Bearer {OPERATOR_TOKEN}"})
        assert "checks" in detailed.json()
