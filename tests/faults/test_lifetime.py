"""The start and the end of a service whose database is not as it should be."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

import httpx
import psycopg
import pytest

from lift_store.local.postgres import LocalPostgres
from lift_store.schema import migrate
from lift_store.schema.logins import ensure_login
from tests.faults.database import BUSY, locked, until
from tests.faults.service import Caller, caller
from tests.servers import PASSWORD, Database, empty_database
from tests.service import ended, eventually, ready


async def test_a_slow_start_says_that_it_is_starting(tmp_path: Path, fragile: LocalPostgres, fragile_database: Database) -> None:
    """While the first checks wait for the database; then ready says what they found."""
    with fragile.frozen():
        async with caller(tmp_path, fragile_database, LIFT_STORE_HEALTH_TIMEOUT=3) as calls:
            assert await calls.ready() == (503, {"status": "fail", "output": "starting"})
            assert (await calls.api.get("/health/live")).status_code == 200
            await ready(calls.running)
            assert await calls.ready() == (200, {"status": "warn"})


async def test_pending_migrations_are_named_until_they_are_applied(tmp_path: Path, fragile: LocalPostgres) -> None:
    """An instance of a newer release than its database gets no traffic, and needs no restart."""
    database = empty_database(fragile)
    migrate.up(database.migrator, to=7)
    ensure_login(database.admin, "test_app", PASSWORD, "lift_app")
    async with caller(tmp_path, database) as calls:
        await ready(calls.running)
        code, body = await calls.ready()
        assert (code, body["status"]) == (503, "fail")
        assert body["output"] == "schema: 2 migrations are pending; run: lift-store migrate up"
        assert await calls.value("lift_store_migrations", state="pending") == 2
        assert (await calls.api.get("/api/sessions")).status_code == 500
        migrate.up(database.migrator)
        await calls.is_well()
        assert await calls.status() == 200


async def test_sigterm_lets_requests_end_and_closes_its_connections(alice_calls: Caller, fragile_database: Database) -> None:
    """Ready says that it drains, the request under way is answered, nothing is left in the database, exit code 0."""
    with psycopg.connect(fragile_database.admin, autocommit=True) as admin:
        with locked(fragile_database) as looking:
            under_way = asyncio.create_task(alice_calls.create())
            await until(looking, BUSY, 1)
            alice_calls.running.process.send_signal(signal.SIGTERM)
            while (answer := await alice_calls.ready())[0] == 200:
                pass
            assert answer == (503, {"status": "fail", "output": "draining"})
            assert not under_way.done()
        await under_way
        assert await ended(alice_calls.running, within=10) == 0
        await until(admin, "select count(*) from pg_stat_activity where usename = 'test_app'", 0)


@pytest.mark.parametrize("fault", ["frozen", "locked"])
async def test_a_second_signal_ends_it_at_once(tmp_path: Path, fragile: LocalPostgres, fragile_database: Database, fault: str) -> None:
    """Whatever the database does with the request that is under way, and however long that may take."""
    patient = {"LIFT_STORE_OPERATION_TIMEOUT": 60, "LIFT_STORE_DRAIN_TIMEOUT": 60}
    async with caller(tmp_path, fragile_database, **patient) as calls:
        await ready(calls.running)
        with locked(fragile_database) as looking, contextlib.ExitStack() as stack:
            under_way = asyncio.create_task(calls.api.post("/api/sessions", json={}))
            await until(looking, BUSY, 1)
            if fault == "frozen":
                stack.enter_context(fragile.frozen())
            calls.running.process.send_signal(signal.SIGTERM)
            await eventually(calls.is_draining)
            calls.running.process.send_signal(signal.SIGTERM)
            assert await ended(calls.running, within=2) == 130
        with contextlib.suppress(httpx.TransportError):
            assert (await under_way).status_code == 500
