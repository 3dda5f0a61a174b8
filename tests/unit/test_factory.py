"""What the settings ask for is what is built."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from lift_store import InMemorySessionStore, PostgresSessionStore
from lift_store.factory import build_store, process_registry
from lift_store.settings import Settings, SettingsError


def test_each_backend_has_its_store(registry: CollectorRegistry) -> None:
    """Reporting under its own name, with the limits that were set."""
    loaded = Settings.load(database_url="postgresql://app@127.0.0.1:1/app", jwt_secret="x" * 32, pool_max_size=7)
    postgres = build_store(loaded, registry)
    assert isinstance(postgres, PostgresSessionStore)
    assert (postgres.pool_snapshot().max, postgres.telemetry.backend) == (7, "postgres")
    memory = build_store(Settings.load(backend_choice="memory", jwt_secret="x" * 32), CollectorRegistry())
    assert isinstance(memory, InMemorySessionStore)
    assert memory.observability.telemetry.backend == "memory"


def test_postgres_without_a_database_is_refused(registry: CollectorRegistry) -> None:
    """Settings that were not checked do not become another store in silence."""
    with pytest.raises(SettingsError, match="DATABASE_URL is missing"):
        build_store(Settings(jwt_secret="x" * 32, database_url=None), registry)


def test_the_process_is_told_of() -> None:
    """Its memory, its files, its Python, its garbage."""
    told = {family.name for family in process_registry().collect()}
    assert {"process_resident_memory_bytes", "process_open_fds", "python_info", "python_gc_collections"} <= told
