"""Ten thousand operations, a third given up at random moments: afterwards every connection is free, whatever the server did meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from random import Random
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from lift_store import NewSession, PromptRevision, SaturatedError, StoreError, UserSessions
from lift_store.observability import observe_on
from lift_store.protocol import Backend
from lift_store.supabase import SupabaseSessionStore
from tests.principals import somebody
from tests.proxy import Fault, Proxy, proxied
from tests.supabase import SupabaseProject

OPERATIONS = 10_000
CONNECTIONS = 10
WORKERS = 40


async def storm(sessions: UserSessions, operations: int, each: Callable[[int], None] = lambda _: None) -> dict[str, int]:
    """Do so many operations, a third of them cancelled within a few milliseconds; return how they ended."""
    random, numbers = Random(20261125), count()  # noqa: S311 - to be repeated
    ended = dict.fromkeys(("ok", "cancelled", "failed"), 0)

    async def work() -> None:
        while (number := next(numbers)) < operations:
            each(number)
            call = asyncio.create_task(_operation(sessions, random.randrange(3)))
            if random.random() < 1 / 3:
                await asyncio.sleep(random.random() * 0.03)
                call.cancel()
            await asyncio.wait([call])
            ended["cancelled" if call.cancelled() else "failed" if isinstance(call.exception(), StoreError) else "ok"] += 1
            assert call.cancelled() or call.exception() is None or isinstance(call.exception(), StoreError), call

    await asyncio.gather(*(work() for _ in range(WORKERS)))
    return ended


async def _operation(sessions: UserSessions, kind: int) -> None:
    match kind:
        case 0:
            await sessions.get(uuid4())
        case 1:
            await sessions.list_active(limit=1)
        case _:
            await sessions.create(NewSession(revisions=(PromptRevision(content="a"),)))


async def assert_all_is_free(store: SupabaseSessionStore, proxy: Proxy, registry: CollectorRegistry) -> None:
    """Every slot is free, the gauges are 0, and as many requests as there are connections succeed at once."""
    proxy.fault = lambda _head, _body: Fault.NONE
    pool = store.pool_snapshot()
    assert (pool.in_use, pool.connecting, pool.pending) == (0, 0, 0)
    assert 0 <= pool.idle <= CONNECTIONS
    for family in registry.collect():
        for sample in family.samples:
            if sample.name == "lift_store_operations_in_flight":
                assert sample.value == 0, sample
    await asyncio.gather(*(store.as_user(somebody()).list_all() for _ in range(CONNECTIONS)))
    assert store.pool_snapshot().idle == CONNECTIONS


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until *condition* holds, which another task of this loop brings about."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)


def restarting(proxy: Proxy) -> Callable[[int], None]:
    """Return what drops every connection now and then."""

    def each(number: int) -> None:
        if number % 500 == 499:
            proxy.drop()

    return each


def sometimes(fault: Fault) -> Callable[[bytes, bytes], Fault]:
    """Return what answers half of the requests so."""
    random = Random(1)  # noqa: S311 - to be repeated
    return lambda _head, _body: fault if random.random() < 0.5 else Fault.NONE


FAULTS = (Fault.HANG, Fault.RESET, Fault.DRIP, "restart")


@pytest.mark.parametrize(
    ("fault", "operations"),
    [
        (Fault.NONE, OPERATIONS),
        *((fault, OPERATIONS // 5) for fault in FAULTS),
        *(pytest.param(fault, OPERATIONS, marks=pytest.mark.long) for fault in FAULTS),
    ],
)
@pytest.mark.timeout(600)
async def test_callers_who_give_up_leave_nothing_behind(
    supabase: SupabaseProject, registry: CollectorRegistry, fault: Fault | str, operations: int
) -> None:
    """On a server that is well, that hangs, resets, answers byte by byte, or restarts."""
    observability = observe_on(registry, Backend.SUPABASE)
    async with (
        proxied(supabase.url) as proxy,
        SupabaseSessionStore(
            proxy.url,
            supabase.key,
            observability=observability,
            max_connections=CONNECTIONS,
            acquire_timeout=30,
            operation_timeout=60 if fault is not Fault.HANG else 0.2,
        ) as store,
    ):
        proxy.fault = sometimes(fault) if isinstance(fault, Fault) else proxy.fault
        each = restarting(proxy) if fault == "restart" else lambda _number: None
        ended = await storm(store.as_user(somebody()), operations, each)
        assert sum(ended.values()) == operations
        assert ended["cancelled"] > 0
        assert (ended["failed"] == 0) or fault is not Fault.NONE
        await assert_all_is_free(store, proxy, registry)


async def test_who_finds_every_connection_in_use_waits_so_long_and_no_longer(
    supabase: SupabaseProject, registry: CollectorRegistry
) -> None:
    """Then SaturatedError, with nothing sent; the timeouts are counted and the waits timed. More than may wait are refused at once."""
    async with (
        proxied(supabase.url) as proxy,
        SupabaseSessionStore(
            proxy.url,
            supabase.key,
            observability=observe_on(registry, Backend.SUPABASE),
            max_connections=2,
            acquire_timeout=0.2,
            max_waiting=3,
        ) as store,
    ):
        proxy.fault = lambda _head, _body: Fault.HANG
        sessions = store.as_user(somebody())
        holding = [asyncio.create_task(sessions.list_all()) for _ in range(2)]
        await eventually(lambda: len(proxy.requests) == 2)
        waiting = [asyncio.create_task(sessions.list_all()) for _ in range(3)]
        await asyncio.sleep(0)
        pool = store.pool_snapshot()
        assert (pool.in_use, pool.idle, pool.pending) == (2, 0, 3)
        with pytest.raises(SaturatedError, match="3 callers wait for one of 2 connections") as caught:
            await sessions.list_all()
        assert caught.value.retry_after == 1
        for waited in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(waited, SaturatedError)
            assert str(waited) == "all 2 connections stayed in use for 0.2 s"
        assert len(proxy.requests) == 2
        assert registry.get_sample_value("lift_store_pool_timeouts_total", {"pool": "supabase"}) == 3
        for call in holding:
            call.cancel()
        await asyncio.wait(holding)
    labels = {"backend": "supabase", "operation": "list_all", "outcome": "saturated"}
    assert registry.get_sample_value("lift_store_operations_total", labels) == 4
    assert registry.get_sample_value("lift_store_pool_acquire_duration_seconds_count", {"pool": "supabase"}) == 6
    waits = [
        registry.get_sample_value("lift_store_pool_acquire_duration_seconds_bucket", {"pool": "supabase", "le": le})
        for le in ("0.1", "5.0")
    ]
    assert waits == [3, 6]
