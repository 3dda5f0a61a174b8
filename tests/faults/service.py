"""A service on a database that breaks, and what its callers and its operator see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
from prometheus_client.parser import text_string_to_metric_families

from tests.servers import Database
from tests.service import Running, eventually, service
from tests.unit.api.tokens import token

ACQUIRE, OPERATION = 0.5, 1.0
"""The configured timeouts, in seconds."""
SLACK = 1.0
"""Seconds on top for a busy machine; far below what an unbounded wait would take."""
CONNECTIONS = "select count(*) from pg_stat_activity where usename = 'test_app' and datname = current_database()"
"""How many the service has."""
_GONE = (
    ("lift_store_pool_connections", {"pool": "postgres", "state": "in_use"}),
    ("lift_store_pool_pending_requests", {"pool": "postgres"}),
)


class Caller:
    """One user's client of the service, and the operator's look at it."""

    def __init__(self, running: Running, database: Database) -> None:
        self.running = running
        self.database = database
        self.api = running.api
        self.user = uuid4()
        self.api.headers["Authorization"] = f"Bearer {token(self.user, iss=None)}"

    async def create(self) -> UUID:
        """Create a session."""
        answer = await self.api.post("/api/sessions", json={})
        assert answer.status_code == 201, answer.text
        return UUID(answer.json()["session_id"])

    async def status(self) -> int:
        """Return how a list is answered."""
        return (await self.api.get("/api/sessions", timeout=20)).status_code

    async def refused(self) -> tuple[str, str]:
        """Return the problem's type and detail of a request that must be refused in time, as one to try again."""
        started = monotonic()
        answer = await self.api.get("/api/sessions", timeout=20)
        assert answer.status_code == 503, answer.text
        assert monotonic() - started < OPERATION + SLACK
        assert int(answer.headers["Retry-After"]) >= 1
        return answer.json()["type"].rpartition("/")[2].rpartition(":")[2], answer.json().get("detail", "")

    async def recovers(self, within: float = 15) -> None:
        """Wait until requests are answered, and the gauges say what is true."""
        await eventually(self.answers, within)
        await eventually(self.tells_the_truth)

    async def is_well(self) -> None:
        """Wait until the service says of itself that all is well."""
        await eventually(self.is_ready)
        assert await self.value("lift_store_health", check="database") == 1

    async def answers(self) -> bool:
        """Tell whether a request is answered."""
        return await self.status() == 200

    async def is_ready(self) -> bool:
        """Tell whether it is ready, without a warning."""
        return await self.ready() == (200, {"status": "pass"})

    async def is_draining(self) -> bool:
        """Tell whether it says so."""
        return await self.ready() == (503, {"status": "fail", "output": "draining"})

    async def is_unwell(self) -> bool:
        """Tell whether the operator sees that the database does not answer, in the gauge and at /health."""
        return await self.value("lift_store_health", check="database") == 0 and (await self.api.get("/health")).status_code == 503

    async def is_idle(self) -> bool:
        """Tell whether the gauges say that nothing is going on."""
        samples = await self.samples()
        in_flight = sum(value for (name, _), value in samples.items() if name == "lift_store_operations_in_flight")
        return not in_flight + sum(samples[name, frozenset(labels.items())] for name, labels in _GONE)

    async def tells_the_truth(self) -> bool:
        """Tell whether the pool's gauges say what the database does: so many idle, none on its way. Use finds out which are dead."""
        await self.status()
        with psycopg.connect(self.database.admin) as admin:
            there = admin.execute(CONNECTIONS).fetchone()
        pool = "lift_store_pool_connections"
        idle, connecting = [await self.value(pool, pool="postgres", state=state) for state in ("idle", "connecting")]
        return there == (idle,) and not connecting and await self.is_idle()

    async def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Return every sample of the operator's scrape."""
        text = (await self.running.operator.get("/metrics", timeout=20)).text
        families = text_string_to_metric_families(text)
        return {(sample.name, frozenset(sample.labels.items())): sample.value for family in families for sample in family.samples}

    async def value(self, name: str, **labels: str) -> float:
        """Return one sample."""
        return (await self.samples())[name, frozenset(labels.items())]

    async def ready(self) -> tuple[int, dict[str, Any]]:
        """Return what a load balancer is told."""
        answer = await self.api.get("/health/ready", timeout=20)
        return answer.status_code, answer.json()


@asynccontextmanager
async def caller(folder: Path, database: Database, **variables: Any) -> AsyncIterator[Caller]:
    """Start the service on *database*, with short timeouts; it listens soon, and is not waited for."""
    short: dict[str, Any] = {
        "LIFT_STORE_BACKEND": "postgres",
        "DATABASE_URL": database.app,
        "LIFT_STORE_POOL_ACQUIRE_TIMEOUT": ACQUIRE,
        "LIFT_STORE_OPERATION_TIMEOUT": OPERATION,
        "LIFT_STORE_POOL_MAX_SIZE": 4,
    }
    async with service(folder, **short | variables) as running:
        await _listens(running)
        yield Caller(running, database)


async def _listens(running: Running) -> None:
    async def answers() -> bool:
        assert running.process.returncode is None, "the service ended before it listened"
        try:
            await running.api.get("/health/live")
        except httpx.TransportError:
            return False
        return True

    await eventually(answers)
