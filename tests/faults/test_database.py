"""Faults of the database, made for real: the right answer in time, recovery without a restart, gauges that are true afterwards."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from secrets import token_hex
from uuid import UUID

import httpx
import psycopg
import pytest

from lift_store.local.postgres import LocalPostgres
from tests.faults.database import (
    BUSY,
    TERMINATE,
    down,
    fill,
    locked,
    login_without_connections,
    server_without_connections,
    small_disk,
    until,
)
from tests.faults.service import OPERATION, SLACK, Caller, caller
from tests.servers import Database, migrated_database
from tests.service import eventually, ready


async def test_down_at_the_start(tmp_path: Path, fragile: LocalPostgres, fragile_database: Database) -> None:
    """The service starts, is ready with a warning, refuses, and serves once the database is there."""
    async with contextlib.AsyncExitStack() as stack:
        with down(fragile):
            calls = await stack.enter_async_context(caller(tmp_path, fragile_database))
            await ready(calls.running)
            assert (await calls.refused())[0] == "unavailable"
            assert await calls.ready() == (200, {"status": "warn"})
            assert await calls.is_unwell()
        await calls.recovers()
        await calls.is_well()


async def test_down_later(alice_calls: Caller, fragile: LocalPostgres) -> None:
    """However long it is down, requests are answered within seconds of its return: the pool's pauses do not grow."""
    with down(fragile):
        async with asyncio.timeout(20):
            for _ in range(8):
                assert (await alice_calls.refused())[0] == "unavailable"
                assert (await alice_calls.api.get("/health/live")).status_code == 200
                await asyncio.sleep(0.5)
    await alice_calls.recovers(within=3)
    await alice_calls.is_well()
    assert await alice_calls.value("lift_store_pool_connection_errors_total", pool="postgres") > 0


async def test_restarted_under_load(alice_calls: Caller, fragile: LocalPostgres) -> None:
    """Requests in a restart are answered or refused as ones to try again, nothing else."""
    seen = []

    async def load() -> None:
        while True:
            seen.append(await alice_calls.status())

    async with asyncio.TaskGroup() as tasks:
        clients = [tasks.create_task(load()) for _ in range(4)]
        await asyncio.sleep(0.3)
        await asyncio.to_thread(fragile.restart)
        await eventually(alice_calls.answers)
        await asyncio.sleep(0.3)
        for client in clients:
            client.cancel()
    await alice_calls.recovers()
    assert set(seen) <= {200, 503}
    assert seen[-1] == 200
    await alice_calls.is_well()


async def test_frozen(alice_calls: Caller, fragile: LocalPostgres) -> None:
    """Connections stand and nothing answers: refused in time, by the deadline first, then for want of a connection."""
    with fragile.frozen():
        kinds = [(await alice_calls.refused())[0] for _ in range(6)]
        assert kinds[0] == "timeout"
        assert set(kinds) <= {"timeout", "unavailable", "saturated"}
        assert (await alice_calls.api.get("/health/live")).status_code == 200
        assert (await alice_calls.ready())[0] == 200
    await alice_calls.recovers()
    await alice_calls.is_well()


async def test_slow(alice_calls: Caller, fragile_database: Database) -> None:
    """A statement past the deadline is given up on both sides, and the connection serves on."""
    with locked(fragile_database) as looking:
        assert (await alice_calls.refused())[0] == "timeout"
        await until(looking, BUSY, 0)
    await alice_calls.recovers(within=2)


async def test_more_callers_than_a_slow_database_can_serve(alice_calls: Caller, fragile_database: Database) -> None:
    """Those with a connection time out, the others learn that all are in use, all in time."""
    with locked(fragile_database) as looking:
        kinds = [kind for kind, _ in await asyncio.gather(*(alice_calls.refused() for _ in range(20)))]
        assert sorted(set(kinds)) == ["saturated", "timeout"]
        await until(looking, BUSY, 0)
    await alice_calls.recovers(within=2)


async def test_killed_in_mid_statement(alice_calls: Caller, fragile_database: Database) -> None:
    """The backend that serves a request is terminated: that request is refused, the next is served."""
    with locked(fragile_database) as looking:
        doomed = asyncio.create_task(alice_calls.refused())
        await until(looking, BUSY, 1)
        looking.execute(TERMINATE)
        assert (await doomed)[0] == "unavailable"
    assert await alice_calls.status() == 200
    await alice_calls.recovers(within=2)


async def test_idle_connections_killed(alice_calls: Caller, fragile_database: Database) -> None:
    """As a pooler or a firewall does: nobody notices."""
    with psycopg.connect(fragile_database.admin, autocommit=True) as admin:
        for _ in range(5):
            admin.execute(TERMINATE)
            assert await alice_calls.status() == 200
    await alice_calls.recovers(within=2)


@pytest.mark.parametrize("without_connections", [login_without_connections, server_without_connections])
async def test_too_many_connections(
    alice_calls: Caller, fragile_database: Database, without_connections: Callable[[Database], AbstractContextManager[None]]
) -> None:
    """There is none left for us, for our login or for anybody: refused in time, and served again when there is."""
    with without_connections(fragile_database):
        for _ in range(3):
            assert (await alice_calls.refused())[0] == "unavailable"
    await alice_calls.recovers(within=4)
    await alice_calls.is_well()


async def test_callers_who_hang_up(alice_calls: Caller, fragile_database: Database) -> None:
    """Within the deadline nothing of them is left, in the pool, in flight or in the database."""
    with locked(fragile_database) as looking:

        async def impatient() -> None:
            with pytest.raises(httpx.ReadTimeout):
                await alice_calls.api.post("/api/sessions", json={}, timeout=0.2)

        await asyncio.gather(*(impatient() for _ in range(8)))
        await eventually(alice_calls.is_idle, within=OPERATION + SLACK)
        await until(looking, BUSY, 0)
    assert await alice_calls.status() == 200


async def test_a_full_disk(tmp_path: Path) -> None:
    """Writes are refused as ones to try again, reads go on, and with space both do. A file system of its own needs root."""
    with small_disk() as disk, LocalPostgres(disk / "server", settings={"max_wal_size": "64MB", "min_wal_size": "32MB"}) as server:
        async with caller(tmp_path, migrated_database(server)) as calls:
            session = await calls.create()
            filler = disk / "filler"
            fill(filler)
            writes = [await write(calls, session) for _ in range(20)]
            assert set(writes) <= {200, 503}
            assert 503 in writes
            assert (await calls.api.get(f"/api/sessions/{session}")).status_code == 200
            filler.unlink()
            await calls.recovers()
            assert await write(calls, session) == 200


async def write(calls: Caller, session: UUID) -> int:
    """Append what does not compress, so that tables must grow; returns the status."""
    content = token_hex(45_000)
    answer = await calls.api.post(
        f"/api/sessions/{session}/revisions", json={"content": content, "revision_type": "manual_edit"}, timeout=20
    )
    if answer.status_code == 503:
        assert int(answer.headers["Retry-After"]) >= 1
        assert content[:50] not in answer.text
    return answer.status_code
