"""The only place that knows which backends exist, and what they report to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from lift_store.memory import InMemorySessionStore
from lift_store.observability import Observability, observe_on
from lift_store.postgres import PostgresSessionStore
from lift_store.protocol import Backend, SessionStore
from lift_store.settings import SettingsError
from lift_telemetry.sinks.logs import LogSink

if TYPE_CHECKING:
    from lift_store.settings import Settings


class ObservedStore(SessionStore, Protocol):
    """A store that says what it reports to, so that those around it report to the same registry."""

    observability: Observability


def process_registry() -> CollectorRegistry:
    """Return a registry that tells of this process: CPU, memory, files, garbage collection."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def build_store(settings: Settings, registry: CollectorRegistry) -> ObservedStore:
    """Return the store that *settings* ask for, not yet open, reporting to *registry* and to the log."""
    observability = observe_on(registry, settings.backend, LogSink())
    if settings.backend is Backend.MEMORY:
        return InMemorySessionStore(observability=observability)
    if settings.backend is Backend.SUPABASE:
        return _supabase(settings, observability)
    if settings.database_url is None:
        raise SettingsError("DATABASE_URL is missing: the backend postgres takes it")
    return PostgresSessionStore(
        settings.database_url.get_secret_value(),
        observability=observability,
        min_size=settings.pool_min_size,
        max_size=settings.pool_max_size,
        acquire_timeout=settings.acquire_timeout,
        max_waiting=settings.pool_max_waiting,
        operation_timeout=settings.operation_timeout,
        prepare=settings.prepared_statements,
    )


def _supabase(settings: Settings, observability: Observability) -> ObservedStore:
    if settings.supabase_url is None or settings.supabase_key is None:
        raise SettingsError("SUPABASE_URL and SUPABASE_KEY are missing: the backend supabase takes both")
    try:
        from lift_store.supabase import SupabaseSessionStore  # noqa: PLC0415 - of an extra that the other backends do without
    except ModuleNotFoundError as missing:
        raise SettingsError(f"LIFT_STORE_BACKEND supabase needs {missing.name}: pip install 'lift-store[supabase]'") from None
    return SupabaseSessionStore(
        settings.supabase_url,
        settings.supabase_key.get_secret_value(),
        observability=observability,
        max_connections=settings.pool_max_size,
        acquire_timeout=settings.acquire_timeout,
        max_waiting=settings.pool_max_waiting,
        operation_timeout=settings.operation_timeout,
    )
