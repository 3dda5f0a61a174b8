"""What goes over the wire: one request an operation, with the caller's own token and nothing of anybody else's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

from lift_store import (
    HoleResolution,
    IRDraft,
    NewSession,
    Principal,
    PromptRevision,
    SessionStatus,
    UnauthenticatedError,
    UnavailableError,
)
from lift_store.context import request_id
from lift_store.observability import observe_on
from lift_store.protocol import Backend, Operation
from lift_store.supabase import SupabaseSessionStore
from tests.principals import somebody
from tests.proxy import Fault, Proxy, proxied
from tests.supabase import SupabaseProject


@asynccontextmanager
async def behind_a_proxy(
    supabase: SupabaseProject, registry: CollectorRegistry | None = None, **options: Any
) -> AsyncIterator[tuple[SupabaseSessionStore, Proxy]]:
    """Open a store on *supabase*, all of whose requests pass a proxy."""
    observability = observe_on(registry or CollectorRegistry(), Backend.SUPABASE)
    async with (
        proxied(supabase.url) as proxy,
        SupabaseSessionStore(proxy.url, supabase.key, observability=observability, **options) as store,
    ):
        yield store, proxy


def one_after_the_other(*faults: Fault) -> Callable[[bytes, bytes], Fault]:
    """Return what gives each request the next of *faults*."""
    left = iter(faults)
    return lambda _head, _body: next(left)


async def requests_of(proxy: Proxy, operation: Awaitable[object]) -> int:
    """Return how many requests *operation* made."""
    before = len(proxy.requests)
    await operation
    return len(proxy.requests) - before


@pytest.mark.parametrize("revisions", [1, 500])
async def test_every_operation_is_one_request(supabase: SupabaseProject, revisions: int) -> None:
    """However long the history."""
    async with behind_a_proxy(supabase) as (store, proxy):
        sessions, session_id = store.as_user(somebody()), uuid4()
        history = tuple(PromptRevision(content=f"wording {number}") for number in range(revisions))
        made = [
            await requests_of(proxy, operation)
            for operation in (
                sessions.create(NewSession(session_id=session_id, revisions=history)),
                sessions.get(session_id),
                sessions.add_revision(session_id, PromptRevision(content="a")),
                sessions.add_draft(session_id, IRDraft(ir={})),
                sessions.add_resolution(session_id, HoleResolution(hole_id="x", resolution_text="y")),
                sessions.update(session_id, version=revisions + 4, metadata={"a": 1}, status=SessionStatus.PAUSED),
                sessions.list_all(),
                sessions.list_active(),
                sessions.delete(session_id),
            )
        ]
        assert made == [1] * len(Operation)


async def test_a_list_of_fifty_is_one_request(supabase: SupabaseProject) -> None:
    """Of sessions with a history each."""
    async with behind_a_proxy(supabase) as (store, proxy):
        sessions = store.as_user(somebody())
        for _ in range(50):
            await sessions.create(NewSession(revisions=(PromptRevision(content="a"),)))
        before = len(proxy.requests)
        assert len((await sessions.list_all(limit=50)).items) == 50
        assert len(proxy.requests) - before == 1


async def test_a_request_carries_its_callers_token_trace_and_request_id(supabase: SupabaseProject) -> None:
    """And the project's key; in the headers, and for our functions in the argument `context`."""
    async with behind_a_proxy(supabase) as (store, proxy):
        user, bound = somebody(), request_id.set("request-1")
        try:
            with TracerProvider().get_tracer("test").start_as_current_span("request") as span:
                await store.as_user(user).get(uuid4())
                context = span.get_span_context()
        finally:
            request_id.reset(bound)
        head, body = proxy.requests[-1]
        traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
        assert head.startswith(b"POST /rest/v1/rpc/session_get HTTP/1.1\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head.decode().split("\r\n"))}
        assert (headers["authorization"], headers["apikey"]) == (f"Bearer {user.token}", supabase.key)
        assert headers["traceparent"] == traceparent
        assert json.loads(body)["context"] == {"traceparent": traceparent, "request_id": "request-1"}
        await store.as_user(user).get(uuid4())
        assert b"traceparent" not in b"".join(proxy.requests[-1])


async def test_a_principal_without_a_token_sends_nothing(supabase: SupabaseProject) -> None:
    """No identity, no request; nor one with the token of another."""
    async with behind_a_proxy(supabase) as (store, proxy):
        await store.as_user(somebody()).list_all()
        with pytest.raises(UnauthenticatedError, match="has no token"):
            await store.as_user(Principal(uuid4())).list_all()
        assert len(proxy.requests) == 1


async def test_a_write_whose_answer_was_lost_is_stored_once(supabase: SupabaseProject, registry: CollectorRegistry) -> None:
    """It is sent again under its operation_id, and answers as the first would have; the repeat is counted, the caller's operation once."""
    async with behind_a_proxy(supabase, registry) as (store, proxy):
        sessions = store.as_user(somebody())
        session_id = (await sessions.create(NewSession())).session_id
        for number, fault in enumerate((Fault.LOSE, Fault.CUT, Fault.RESET), 1):
            proxy.fault = one_after_the_other(fault, Fault.NONE)
            before = len(proxy.requests)
            summary = await sessions.add_revision(session_id, PromptRevision(content="once"))
            assert (summary.revision_count, len(proxy.requests) - before) == (number, 2)
            assert len({json.loads(body)["operation_id"] for _, body in proxy.requests[before:]}) == 1
    labels = {"backend": "supabase", "operation": "add_revision"}
    assert registry.get_sample_value("lift_store_retries_total", labels) == 3
    assert registry.get_sample_value("lift_store_operations_total", labels | {"outcome": "ok"}) == 3


async def test_what_stays_unavailable_is_given_up_after_three_attempts(supabase: SupabaseProject, registry: CollectorRegistry) -> None:
    """Not in a tight loop: with a pause before each."""
    async with behind_a_proxy(supabase, registry) as (store, proxy):
        proxy.fault = lambda _head, _body: Fault.RESET
        with pytest.raises(UnavailableError):
            await store.as_user(somebody()).list_all()
        assert len(proxy.requests) == 3
    labels = {"backend": "supabase", "operation": "list_all"}
    assert registry.get_sample_value("lift_store_operations_total", labels | {"outcome": "unavailable"}) == 1
    assert (registry.get_sample_value("lift_store_operation_duration_seconds_sum", labels | {"result": "error"}) or 0) > 0.1


async def test_a_gateways_cookies_go_to_nobody(supabase: SupabaseProject) -> None:
    """Not even back to where they came from: the next request is another user's."""
    async with behind_a_proxy(supabase) as (store, proxy):
        proxy.cookie = b"Set-Cookie: sticky=alice; Path=/\r\n"
        for _ in range(2):
            await store.as_user(somebody()).list_all()
        assert b"cookie" not in proxy.requests[-1][0].lower()
