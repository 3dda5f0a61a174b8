"""Health: bounded, cached, single-flight, and what each endpoint answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import httpx
import pytest
from prometheus_client import CollectorRegistry

from lift_store.api.app import api_app
from lift_store.api.health import Health, Phase, Result, Status, database_check, keys_check, schema_check
from lift_store.api.jwks import KeySet
from lift_store.api.service import Service
from lift_store.errors import InternalError, UnavailableError
from tests.unit.api.keyserver import KeyServer
from tests.unit.api.tokens import ec_key, public_jwk

DOWN, MISSING = UnavailableError("the database cannot be reached"), InternalError("the schema is not there")


@dataclass
class Counted:
    """A check that answers what it is told, after *delay* seconds."""

    result: Result = field(default_factory=lambda: Result(Status.PASS))
    delay: float = 0.0
    calls: int = 0

    async def __call__(self) -> Result:
        """Answer."""
        self.calls += 1
        await asyncio.sleep(self.delay)
        return self.result


async def test_many_probes_cost_one_check() -> None:
    """Probes at the same time share one run, and later ones its result until it is too old."""
    check = Counted(delay=0.05)
    health = Health({"database": check}, cached=0.1)
    await asyncio.gather(*(health.report() for _ in range(50)))
    await health.report()
    assert check.calls == 1
    await asyncio.sleep(0.15)
    await health.report()
    assert check.calls == 2


async def test_a_hanging_check_fails_in_time_and_is_published() -> None:
    """A frozen database does not freeze the probe; the gauge shows what each check found."""
    shown: dict[str, float] = {}
    health = Health({"database": Counted(delay=60), "jwks": Counted()}, timeout=0.05, publish=shown.__setitem__)
    async with asyncio.timeout(1):
        report = await health.report()
    assert (report.status, report.checks["database"].output) == (Status.FAIL, "no answer within 0.05 s")
    assert shown == {"database": 0.0, "jwks": 1.0}


async def test_a_slow_check_does_not_keep_later_probes_waiting() -> None:
    """With an older result at hand a probe answers within the second that orchestrators give it."""
    check = Counted()
    health = Health({"database": check}, timeout=60, cached=0)
    await health.report()
    check.delay = 60
    async with asyncio.timeout(0.9):
        assert (await health.report()).status is Status.PASS


async def test_a_probe_that_hangs_up_leaves_the_check_to_others() -> None:
    """Cancelling one waiter cancels nobody else."""
    health = Health({"database": Counted(delay=0.1)})
    first, second = asyncio.create_task(health.report()), asyncio.create_task(health.report())
    await asyncio.sleep(0.02)
    first.cancel()
    assert (await second).status is Status.PASS


async def test_a_check_that_breaks_is_a_failed_check() -> None:
    """A bug in one check does not take the endpoint down."""

    async def broken() -> Result:
        raise RuntimeError("boom")

    report = await Health({"schema": broken}).report()
    assert (report.status, report.checks["schema"].output) == (Status.FAIL, "the check itself failed")


async def test_watching_keeps_the_gauges_true() -> None:
    """Checks run although nobody probes."""
    check = Counted()
    watching = asyncio.create_task(Health({"database": check}, cached=0).watch(every=0.01))
    await asyncio.sleep(0.1)
    watching.cancel()
    assert check.calls > 2


@pytest.mark.parametrize(
    ("error", "expected"),
    [(None, (Status.PASS, False)), (DOWN, (Status.FAIL, False)), (MISSING, (Status.FAIL, True))],
)
async def test_only_a_wrong_configuration_is_ones_own_fault(error: Exception | None, expected: tuple[Status, bool]) -> None:
    """A dead database is everybody's; a database that refuses our set-up is this instance's."""

    async def ping() -> None:
        if error:
            raise error

    found = await database_check(ping)()
    assert expected == (found.status, found.own)


@dataclass(frozen=True)
class State:
    """Counts of migrations."""

    applied: int = 9
    pending: int = 0
    changed: int = 0


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State(), (Status.PASS, False)),
        (State(pending=2), (Status.FAIL, True)),
        (State(changed=1), (Status.WARN, False)),
        (DOWN, (Status.WARN, False)),
        (MISSING, (Status.FAIL, True)),
    ],
)
async def test_the_schema_is_compared(state: State | Exception, expected: tuple[Status, bool]) -> None:
    """Pending migrations keep this instance from traffic; what cannot be known does not."""
    shown: dict[str, float] = {}

    async def schema_state() -> State:
        if isinstance(state, Exception):
            raise state
        return state

    found = await schema_check(schema_state, shown.__setitem__)()
    assert expected == (found.status, found.own)
    if isinstance(state, State):
        assert shown == {"applied": state.applied, "pending": state.pending, "changed": state.changed}


async def test_keys_are_checked() -> None:
    """No keys fail, stale ones warn, fresh ones pass."""
    with KeyServer(public_jwk(ec_key(), "a")) as server:
        keys = KeySet(server.url)
        assert (await keys_check(keys)()).status is Status.FAIL
        async with keys:
            await keys.find("a")
            assert (await keys_check(keys)()).status is Status.PASS
            server.status = 500
            await keys.refresh()
            assert (await keys_check(keys)()).status is Status.WARN


async def probe(service: Service, path: str, **checks: Result) -> httpx.Response:
    health = Health({name: Counted(result) for name, result in checks.items()})
    health.phase = service.health.phase
    app = api_app(replace(service, health=health))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
        return await client.get(path)


@pytest.mark.parametrize(
    ("path", "result", "code", "status"),
    [
        ("/health", Result(Status.PASS), 200, "pass"),
        ("/health", Result(Status.WARN), 200, "warn"),
        ("/health", Result(Status.FAIL, "host 10.0.0.1"), 503, "fail"),
        ("/health/ready", Result(Status.PASS), 200, "pass"),
        ("/health/ready", Result(Status.WARN), 200, "warn"),
        ("/health/ready", Result(Status.FAIL, "host 10.0.0.1"), 200, "warn"),
        ("/health/ready", Result(Status.FAIL, "2 pending", own=True), 503, "fail"),
        ("/health/live", Result(Status.FAIL, own=True), 200, "pass"),
    ],
)
async def test_endpoints_answer_by_whose_fault_it_is(service: Service, path: str, result: Result, code: int, status: str) -> None:
    """A dead database fails /health and warns /health/ready; live does not care."""
    answer = await probe(service, path, database=result)
    assert (code, status) == (answer.status_code, answer.json()["status"])
    assert answer.headers["Content-Type"] == "application/health+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "10.0.0.1" not in answer.text


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.DRAINING])
async def test_ready_says_where_in_its_life_it_is(service: Service, phase: Phase) -> None:
    """An instance that starts or drains asks for no traffic, and is alive."""
    service.health.phase = phase
    answer = await probe(service, "/health/ready", database=Result(Status.PASS))
    assert (503, phase) == (answer.status_code, answer.json()["output"])
    assert (await probe(service, "/health/live")).status_code == 200


async def test_the_gauge_is_set_by_a_probe(stranger: httpx.AsyncClient, registry: CollectorRegistry) -> None:
    """lift_store_health is absent until first checked, and then true."""
    labels = {"check": "database"}
    assert registry.get_sample_value("lift_store_health", labels) is None
    assert (await stranger.get("/health")).json() == {"status": "pass"}
    assert registry.get_sample_value("lift_store_health", labels) == 1
