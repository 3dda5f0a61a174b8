"""The sign of life: a database that works refuses who has not signed in."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from lift_store import DeadlineError, InternalError, UnavailableError
from lift_store.local.process import free_port
from lift_store.observability import observe_on
from lift_store.protocol import Backend
from lift_store.supabase import SupabaseSessionStore
from tests.proxy import Fault, proxied
from tests.supabase import SupabaseProject


def store(url: str, key: str, registry: CollectorRegistry) -> SupabaseSessionStore:
    """Return a store that gives up soon."""
    return SupabaseSessionStore(url, key, observability=observe_on(registry, Backend.SUPABASE), operation_timeout=0.5, acquire_timeout=0.5)


async def test_a_wrong_key_is_our_own_fault(supabase: SupabaseProject, registry: CollectorRegistry) -> None:
    """And says which variable."""
    async with store(supabase.url, "sb_publishable_wrong", registry) as opened:
        with pytest.raises(InternalError, match="SUPABASE_KEY"):
            await opened.ping()


async def test_no_answer_in_time_is_said_so(supabase: SupabaseProject, registry: CollectorRegistry) -> None:
    """With the time that was allowed."""
    async with proxied(supabase.url) as proxy, store(proxy.url, supabase.key, registry) as opened:
        proxy.fault = lambda _head, _body: Fault.HANG
        with pytest.raises(DeadlineError, match=r"no answer from Supabase within 0\.5 s"):
            await opened.ping()


async def test_nobody_there_is_unavailable_and_counted(registry: CollectorRegistry) -> None:
    """As a connection that failed."""
    async with store(f"http://127.0.0.1:{free_port()}", "key", registry) as opened:
        with pytest.raises(UnavailableError, match="cannot be reached"):
            await opened.ping()
        assert (opened.pool_snapshot().opened, opened.pool_snapshot().errors) == (1, 1)


async def test_a_store_that_is_not_open_says_so(registry: CollectorRegistry) -> None:
    """Nothing is contacted before it is."""
    with pytest.raises(UnavailableError, match="the store is not open"):
        await store("http://127.0.0.1:1", "key", registry).ping()
