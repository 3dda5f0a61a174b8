"""Every recorded refusal through the whole store: the error that the caller gets, how often it was sent, and what the metrics say."""

from __future__ import annotations

import asyncio
from collections import Counter
from time import time
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from lift_store.errors import StoreError, UnauthenticatedError, UnavailableError
from lift_store.observability import observe_on
from lift_store.principal import Principal
from lift_store.protocol import Backend
from lift_store.supabase import SupabaseSessionStore
from tests.replay.meanings import EXPIRED, expected, refusals
from tests.replay.recorded import VERSIONS, recorded
from tests.replay.server import Received, ReplayServer, Reply


def _condition(request: Received) -> str:
    return request.headers["authorization"].removeprefix("Bearer ")


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_recorded_refusal_is_one_error_and_one_event(version: str) -> None:
    """All at once on one store: what one caller is told never reaches another, and a refusal is sent again only if it may pass."""

    def answer(request: Received) -> Reply:
        return recorded(version)[_condition(request)].reply

    async def refused(name: str) -> StoreError:
        claims = {"exp": time() + (-60 if name in EXPIRED else 60)}
        with pytest.raises(StoreError) as raised:
            await store.as_user(Principal(uuid4(), claims=claims, token=name)).get(uuid4())
        return raised.value

    meanings = {one.name: UnauthenticatedError if one.name in EXPIRED else expected(version, one) for one in refusals(version)}
    registry = CollectorRegistry()
    async with (
        ReplayServer(answer) as server,
        SupabaseSessionStore(
            server.url,
            "sb_publishable_test",
            observability=observe_on(registry, Backend.SUPABASE),
            max_waiting=len(meanings),
            acquire_timeout=60,
            operation_timeout=60,
        ) as store,
    ):
        errors = dict(zip(meanings, await asyncio.gather(*map(refused, meanings)), strict=True))
    assert {name: type(error) for name, error in errors.items()} == meanings
    assert Counter(map(_condition, server.received)) == {name: 3 if kind is UnavailableError else 1 for name, kind in meanings.items()}

    def counted(metric: str, **labels: str) -> float | None:
        return registry.get_sample_value(metric, {"operation": "get", **labels})

    outcomes = Counter(str(error.outcome) for error in errors.values())
    assert {each: counted("lift_store_operations_total", backend="supabase", outcome=each) for each in outcomes} == outcomes
    assert counted("lift_store_rls_denials_total", kind="with_check") == outcomes["denied"] == 2
    of_grants = sum("42501" in dict(one.reply.headers).get("Proxy-Status", "") for one in refusals(version)) - 2
    assert counted("lift_store_rls_denials_total", kind="grant") == of_grants
