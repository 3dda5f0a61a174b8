"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from prometheus_client import CollectorRegistry

from lift_store import InMemorySessionStore, PostgresSessionStore, Principal, SessionStore
from lift_store.local.postgres import LocalPostgres
from lift_store.observability import Observability, observe_on
from lift_store.protocol import Backend
from lift_store.supabase import SupabaseSessionStore
from tests.principals import somebody
from tests.servers import Database, migrated_database
from tests.supabase import SupabaseProject, supabase_over


@pytest.fixture
def alice() -> Principal:
    """A user of this test's own."""
    return somebody()


@pytest.fixture
def bob() -> Principal:
    """Another user."""
    return somebody()


@pytest.fixture(scope="session")
def server() -> Iterator[LocalPostgres]:
    """The embedded PostgreSQL, for as long as the tests run."""
    with LocalPostgres.temporary() as running:
        yield running


@pytest.fixture(scope="session")
def database(server: LocalPostgres) -> Database:
    """A migrated database that tests share: each has users of its own, and row-level security keeps them apart."""
    return migrated_database(server)


@pytest.fixture(scope="session")
def supabase(server: LocalPostgres) -> Iterator[SupabaseProject]:
    """A Supabase project with a database of its own, for as long as the tests run; or the one that LIFT_STORE_TEST_SUPABASE_URL names."""
    with supabase_over(server) as project:
        yield project


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry of this test's own."""
    return CollectorRegistry()


@pytest.fixture
def observability(registry: CollectorRegistry) -> Observability:
    """The catalog on this test's registry, for a store on PostgreSQL."""
    return observe_on(registry, Backend.POSTGRES)


@pytest.fixture
async def postgres(database: Database, observability: Observability) -> AsyncIterator[PostgresSessionStore]:
    """A store on the shared database, with a pool and metrics of its own."""
    async with PostgresSessionStore(database.app, observability=observability, max_size=8) as store:
        yield store


@pytest.fixture(params=list(Backend))
async def store(request: pytest.FixtureRequest) -> AsyncIterator[SessionStore]:
    """Every store in turn."""
    observability = observe_on(CollectorRegistry(), request.param)
    async with _store(request, observability) as opened:
        yield opened


def _store(request: pytest.FixtureRequest, observability: Observability) -> SessionStore:
    match request.param:
        case Backend.SUPABASE:
            project: SupabaseProject = request.getfixturevalue("supabase")
            return SupabaseSessionStore(project.url, project.key, observability=observability)
        case Backend.POSTGRES:
            return PostgresSessionStore(request.getfixturevalue("database").app, observability=observability, max_size=8)
        case _:
            return InMemorySessionStore(observability=observability)
