"""What the settings ask for is what is built."""

from __future__ import annotations

import sys

import pytest
from prometheus_client import CollectorRegistry

from lift_store import InMemorySessionStore, PostgresSessionStore
from lift_store.factory import build_store, process_registry
from lift_store.settings import Settings, SettingsError
from lift_store.supabase import SupabaseSessionStore


def test_each_backend_has_its_store(registry: CollectorRegistry) -> None:
    """Reporting under its own name, with the limits that were set."""
    loaded = Settings.load(database_url="postgresql://app@127.0.0.1:1/app", jwt_secret="x" * 32, pool_max_size=7)
    postgres = build_store(loaded, registry)
    assert isinstance(postgres, PostgresSessionStore)
    assert (postgres.pool_snapshot().max, postgres.telemetry.backend) == (7, "postgres")
    memory = build_store(Settings.load(backend_choice="memory", jwt_secret="x" * 32), CollectorRegistry())
    assert isinstance(memory, InMemorySessionStore)
    assert memory.observability.telemetry.backend == "memory"


SUPABASE = {"supabase_url": "https://project.supabase.co", "supabase_key": "sb_publishable_x", "jwt_secret": "x" * 32}


def test_a_url_and_its_key_are_supabase(registry: CollectorRegistry) -> None:
    """Nothing else need be said; without them it is refused."""
    assert isinstance(build_store(Settings.load(**SUPABASE), registry), SupabaseSessionStore)
    with pytest.raises(SettingsError, match="SUPABASE_URL and SUPABASE_KEY are missing"):
        build_store(Settings(jwt_secret="x" * 32, backend_choice="supabase"), CollectorRegistry())


def test_supabase_without_its_extra_names_it(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where only the API is installed."""
    monkeypatch.setitem(sys.modules, "lift_store.supabase", None)
    with pytest.raises(SettingsError, match=r"pip install 'lift-store\[supabase\]'"):
        build_store(Settings.load(**SUPABASE), registry)


def test_postgres_without_a_database_is_refused(registry: CollectorRegistry) -> None:
    """Settings that were not checked do not become another store in silence."""
    with pytest.raises(SettingsError, match="DATABASE_URL is missing"):
        build_store(Settings(jwt_secret="x" * 32, database_url=None), registry)


def test_the_process_is_told_of() -> None:
    """Its memory, its files, its Python, its garbage."""
    told = {family.name for family in process_registry().collect()}
    assert {"process_resident_memory_bytes", "process_open_fds", "python_info", "python_gc_collections"} <= told
