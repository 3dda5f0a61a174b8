"""Every operation of every store is instrumented, and what users did is counted once."""

from __future__ import annotations

import inspect
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from lift_store import (
    HoleResolution,
    InMemorySessionStore,
    IRDraft,
    NewSession,
    Principal,
    PromptRevision,
    SessionSource,
    SessionStatus,
    SpecSessionManager,
    StoreError,
    catalog,
)
from lift_store.memory import InMemoryUserSessions
from lift_store.observability import observe_on, observe_store
from lift_store.postgres import PostgresUserSessions
from lift_store.protocol import Backend, Operation, UserSessions
from lift_store.supabase import SupabaseUserSessions
from lift_telemetry.instruments import Instruments


def uninstrumented(sessions: type) -> set[str]:
    """Return the public coroutine methods of a class that are not observed under their own name."""
    methods = {name: member for name, member in inspect.getmembers(sessions, inspect.isfunction) if not name.startswith("_")}
    return {name for name, method in methods.items() if vars(method).get("__observed__") != name}


@pytest.mark.parametrize("sessions", [InMemoryUserSessions, PostgresUserSessions, SupabaseUserSessions])
def test_every_operation_is_instrumented(sessions: type[UserSessions]) -> None:
    """A new method that forgets the decorator fails here, and so does one that the catalog does not know."""
    assert uninstrumented(sessions) == set()
    contract = {name for name in vars(UserSessions) if not name.startswith("_")}
    assert contract == set(Operation)
    assert contract <= set(dir(sessions))


def test_a_method_without_the_decorator_is_found() -> None:
    """So that the test above can fail."""

    class Forgetful:
        async def get(self) -> None:
            """Be forgotten."""

    assert uninstrumented(Forgetful) == {"get"}


def names(registry: CollectorRegistry) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """Return every series."""
    return {(s.name, tuple(sorted(s.labels.items()))) for family in registry.collect() for s in family.samples}


async def refine(sessions: UserSessions) -> None:
    """Do every operation once, and miss once."""
    summary = await sessions.create(NewSession(revisions=(PromptRevision(content="a"),)))
    session_id = summary.session_id
    await sessions.add_draft(session_id, IRDraft(ir={}))
    await sessions.add_revision(session_id, PromptRevision(content="b"))
    summary = await sessions.add_resolution(session_id, HoleResolution(hole_id="h", resolution_text="c"))
    await sessions.get(session_id)
    await sessions.list_all()
    await sessions.list_active()
    await sessions.update(session_id, version=summary.version, status=SessionStatus.FINALIZED)
    await sessions.delete(session_id)
    await sessions.get(session_id)


async def test_many_users_and_sessions_add_no_series() -> None:
    """10,000 sessions of 1,000 users: the series after are those before any traffic."""
    registry = CollectorRegistry()
    observability = observe_on(registry, Backend.MEMORY)
    before = names(registry)
    async with InMemorySessionStore(observability=observability) as store:
        for _ in range(1000):
            user = store.as_user(Principal(uuid4()))
            for _ in range(10):
                await refine(user)
    assert names(registry) == before
    done = {"backend": "memory", "operation": "create", "outcome": "ok"}
    assert registry.get_sample_value("lift_store_operations_total", done) == 10_000


def test_fixed_series_are_there_at_zero_from_the_start() -> None:
    """For a process on PostgreSQL: 9 operations by 11 outcomes, two histograms of 13 bounds each, and so on."""
    registry = CollectorRegistry()
    observe_on(registry, Backend.POSTGRES)
    values = [s.value for family in registry.collect() for s in family.samples]
    histograms = 9 * 2 * 16 + 14 + 2 * 10 + 13
    counters = 9 * 11 + 9 + 9 * 3 + 7 + 3 * 2 + 4 + 3
    assert (len(values), set(values)) == (histograms + counters + 9, {0.0})


def test_stores_of_one_process_share_the_global_registry() -> None:
    """Making two stores without saying where to report does not register anything twice."""
    assert observe_store(Backend.MEMORY) is observe_store(Backend.MEMORY)
    with pytest.raises(ValueError, match="has the metrics of a store of another backend than postgres; give this store observability="):
        observe_store(Backend.POSTGRES)


async def test_what_users_did_is_counted_once(registry: CollectorRegistry) -> None:
    """Sessions by source, their length, holes by type; a repeat or a failure is not counted."""
    async with InMemorySessionStore(observability=observe_on(registry, Backend.MEMORY)) as store:
        sessions, once = store.as_user(Principal(uuid4())), uuid4()
        for _ in range(2):
            summary = await sessions.create(NewSession(source=SessionSource.REVERSE_MODE), operation_id=once)
        answer = HoleResolution(hole_id="h", resolution_text="c")
        for _ in range(2):
            summary = await sessions.add_resolution(summary.session_id, answer)
        finalize = uuid4()
        for _ in range(2):
            await sessions.update(summary.session_id, version=3, status=SessionStatus.FINALIZED, operation_id=finalize)
        with pytest.raises(StoreError):
            await sessions.update(summary.session_id, version=4, status=SessionStatus.ABANDONED)
        other = await sessions.create(NewSession())
        await sessions.update(other.session_id, version=1, status=SessionStatus.PAUSED)
        await sessions.update(other.session_id, version=2, status=SessionStatus.ABANDONED)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"lift_store_{name}", labels)

    assert value("sessions_created_total", source="reverse_mode") == 1
    assert value("sessions_finalized_total", source="reverse_mode") == 1
    assert value("session_duration_seconds_count", source="reverse_mode") == 1
    assert value("sessions_abandoned_total", source="reverse_mode") == 0
    assert value("sessions_abandoned_total", source="prompt") == 1
    assert value("holes_resolved_total", resolution_type="clarify_intent") == 2


async def test_the_manager_takes_a_prompt_to_a_finalized_session() -> None:
    """With a translator, the prompt and its first draft are one create."""

    async def translate(prompt: str) -> IRDraft:
        return IRDraft(ir={"intent": prompt}, ambiguities=("x",))

    registry, user = CollectorRegistry(), Principal(uuid4())
    async with InMemorySessionStore(observability=observe_on(registry, Backend.MEMORY)) as store:
        manager = SpecSessionManager(store, translator=translate)
        begun = await manager.create_from_prompt(user, "Sort a list.", metadata={"team": "a"})
        assert (begun.revision_count, begun.draft_count, begun.metadata) == (1, 1, {"team": "a"})
        await manager.resolve_hole(user, begun.session_id, HoleResolution(hole_id="x", resolution_text="a list"))
        drafted = await manager.add_draft(user, begun.session_id, IRDraft(ir={"done": True}))
        done = await manager.finalize(user, begun.session_id, drafted.version)
        assert done.status is SessionStatus.FINALIZED
        bare = await SpecSessionManager(store).create_from_prompt(user, "Sort.")
        assert (await manager.abandon(user, bare.session_id, bare.version)).status is SessionStatus.ABANDONED
    created = {"backend": "memory", "operation": "create", "outcome": "ok"}
    assert registry.get_sample_value("lift_store_operations_total", created) == 2


async def test_a_translator_that_fails_stores_nothing() -> None:
    """Its error is the caller's to see."""

    async def translate(_: str) -> IRDraft:
        raise RuntimeError("no model")

    user = Principal(uuid4())
    async with InMemorySessionStore(observability=observe_on(CollectorRegistry(), Backend.MEMORY)) as store:
        with pytest.raises(RuntimeError, match="no model"):
            await SpecSessionManager(store, translator=translate).create_from_prompt(user, "Sort.")
        assert (await store.as_user(user).list_all()).items == ()


def test_the_catalog_keeps_the_conventions() -> None:
    """Prefix, base units, full sentences, no name twice, and the objectives' thresholds are bounds of the histogram."""
    assert len({metric.name for metric in catalog.METRICS}) == len(catalog.METRICS)
    for metric in catalog.METRICS:
        assert metric.name.startswith("lift_store_")
        assert metric.help.endswith(".")
        assert not metric.name.endswith(("_ms", "_milliseconds", "_count", "_info_total"))
        assert not {"user", "session", "user_id", "session_id", "message"} & {label.name for label in metric.labels}
    thresholds = {objective.threshold for objective in catalog.LATENCY_OBJECTIVES}
    assert thresholds <= set(catalog.OPERATION_DURATION.buckets)
    Instruments(catalog.METRICS, CollectorRegistry())
