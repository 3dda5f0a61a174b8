"""Everything that this project exports, as data. Rules, boards and tests read it; nothing else may name a metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lift_store.errors import Outcome
from lift_store.models import ResolutionType, SessionSource
from lift_store.protocol import Backend, Operation
from lift_telemetry.metric import Kind, Label, Metric

LATENCY_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds; 0.2 and 0.5 are the objectives' thresholds, so they must be bounds."""
ACQUIRE_BUCKETS: Final = (0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
SESSION_BUCKETS: Final = (60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0, 604800.0)

POOLS: Final = tuple(str(backend) for backend in (Backend.SUPABASE, Backend.POSTGRES))
"""A pool is called as the backend whose it is."""

_BACKEND = Label("backend", tuple(Backend))
_OPERATION = Label("operation", tuple(Operation))
_SOURCE = Label("source", tuple(SessionSource))
_POOL = Label("pool", POOLS)
DENIAL_KINDS: Final = ("with_check", "using", "grant")
AUTH_REASONS: Final = ("missing", "malformed", "expired", "signature", "claims", "role", "unavailable")
HTTP_METHODS: Final = ("GET", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "PUT", "_OTHER")
HEALTH_CHECKS: Final = ("database", "schema", "jwks")
MIGRATION_STATES: Final = ("applied", "pending", "changed")
SINKS: Final = ("prometheus", "business", "logs")

OPERATION_DURATION: Final = Metric(
    "lift_store_operation_duration_seconds",
    Kind.HISTOGRAM,
    "Time from a caller's operation to its answer, whatever the answer; retries and waiting for a connection are inside it.",
    (_BACKEND, _OPERATION, Label("result", ("ok", "error"))),
    LATENCY_BUCKETS,
)
OPERATIONS: Final = Metric(
    "lift_store_operations_total",
    Kind.COUNTER,
    "Callers' operations by how they ended; a retry inside an operation is not counted again.",
    (_BACKEND, _OPERATION, Label("outcome", tuple(Outcome))),
)
IN_FLIGHT: Final = Metric(
    "lift_store_operations_in_flight",
    Kind.GAUGE,
    "Callers' operations that have begun and not yet ended.",
    (_OPERATION,),
)
RETRIES: Final = Metric(
    "lift_store_retries_total",
    Kind.COUNTER,
    "Attempts that a store repeated inside an operation because the backend was unavailable; what a caller repeats is not counted.",
    (_BACKEND, _OPERATION),
)
RLS_DENIALS: Final = Metric(
    "lift_store_rls_denials_total",
    Kind.COUNTER,
    "Denials that the database said aloud; rows that row-level security hid in silence are not among them.",
    (_OPERATION, Label("kind", DENIAL_KINDS)),
)
AUTH_REJECTIONS: Final = Metric(
    "lift_store_auth_rejections_total",
    Kind.COUNTER,
    "Requests turned away because of their token, or because tokens could not be checked (unavailable).",
    (Label("reason", AUTH_REASONS),),
)
POOL_CONNECTIONS: Final = Metric(
    "lift_store_pool_connections",
    Kind.GAUGE,
    "Connections of the pool by what they are doing, read at the scrape.",
    (_POOL, Label("state", ("idle", "in_use", "connecting"))),
)
POOL_CONNECTIONS_MAX: Final = Metric("lift_store_pool_connections_max", Kind.GAUGE, "Connections that the pool may have at most.", (_POOL,))
POOL_PENDING: Final = Metric(
    "lift_store_pool_pending_requests", Kind.GAUGE, "Callers waiting for a connection, read at the scrape.", (_POOL,)
)
POOL_ACQUIRE: Final = Metric(
    "lift_store_pool_acquire_duration_seconds",
    Kind.HISTOGRAM,
    "Time that a caller waited for a connection, waits that ended without one included.",
    (_POOL,),
    ACQUIRE_BUCKETS,
)
POOL_TIMEOUTS: Final = Metric(
    "lift_store_pool_timeouts_total",
    Kind.COUNTER,
    "Callers who got no connection within the allowed wait; callers who gave up themselves are not counted.",
    (_POOL,),
)
POOL_OPENED: Final = Metric(
    "lift_store_pool_connections_opened_total",
    Kind.COUNTER,
    "Attempts of the pool to open a connection, failed ones included.",
    (_POOL,),
)
POOL_ERRORS: Final = Metric(
    "lift_store_pool_connection_errors_total",
    Kind.COUNTER,
    "Attempts of the pool to open a connection that failed.",
    (_POOL,),
)
SESSIONS_CREATED: Final = Metric(
    "lift_store_sessions_created_total",
    Kind.COUNTER,
    "Sessions created through this process; a repeated request is not counted again.",
    (_SOURCE,),
)
SESSIONS_FINALIZED: Final = Metric(
    "lift_store_sessions_finalized_total",
    Kind.COUNTER,
    "Sessions finalized through this process; a repeated request is not counted again.",
    (_SOURCE,),
)
SESSIONS_ABANDONED: Final = Metric(
    "lift_store_sessions_abandoned_total",
    Kind.COUNTER,
    "Sessions abandoned through this process; a repeated request is not counted again.",
    (_SOURCE,),
)
SESSION_DURATION: Final = Metric(
    "lift_store_session_duration_seconds",
    Kind.HISTOGRAM,
    "Time from a session's creation to its finalization; abandoned sessions are not observed.",
    (_SOURCE,),
    SESSION_BUCKETS,
)
HOLES_RESOLVED: Final = Metric(
    "lift_store_holes_resolved_total",
    Kind.COUNTER,
    "Answers to holes stored through this process; a repeated request is not counted again.",
    (Label("resolution_type", tuple(ResolutionType)),),
)
MIGRATIONS: Final = Metric(
    "lift_store_migrations",
    Kind.GAUGE,
    "Migrations of this release by their state in the database; the same from every instance, so aggregate with max.",
    (Label("state", MIGRATION_STATES),),
    starts_at_zero=False,
)
HEALTH: Final = Metric(
    "lift_store_health",
    Kind.GAUGE,
    "Result of a health check: 1 pass, 0.5 warn, 0 fail; absent until first checked.",
    (Label("check", HEALTH_CHECKS),),
    starts_at_zero=False,
)
HTTP_DURATION: Final = Metric(
    "lift_store_http_request_duration_seconds",
    Kind.HISTOGRAM,
    "Time from a request's head to the last byte of its answer.",
    (
        Label("method", HTTP_METHODS),
        Label("route"),
        Label("status_class", ("2xx", "3xx", "4xx", "5xx")),
    ),
    LATENCY_BUCKETS,
)
EVENT_LOOP_LAG: Final = Metric(
    "lift_store_event_loop_lag_seconds",
    Kind.HISTOGRAM,
    "How much later than asked the event loop ran a timer, measured about once a second.",
    (),
    (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
)
TELEMETRY_ERRORS: Final = Metric(
    "lift_store_telemetry_errors_total",
    Kind.COUNTER,
    "Events that a telemetry sink failed to record; the operation itself was not disturbed.",
    (Label("sink", SINKS),),
)
BUILD_INFO: Final = Metric(
    "lift_store_build_info",
    Kind.GAUGE,
    "Always 1; its labels name the running release and the configured backend.",
    (Label("version"), _BACKEND),
    starts_at_zero=False,
)

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""Every metric, in the order above."""


@dataclass(frozen=True, slots=True)
class LatencyObjective:
    """The share *target* of successful *operation*s answers within *threshold* seconds, over 30 days."""

    operation: Operation
    threshold: float
    target: float = 0.99


LATENCY_OBJECTIVES: Final = (
    LatencyObjective(Operation.GET, 0.2),
    *(
        LatencyObjective(operation, 0.5)
        for operation in (
            Operation.CREATE,
            Operation.UPDATE,
            Operation.ADD_REVISION,
            Operation.ADD_DRAFT,
            Operation.ADD_RESOLUTION,
            Operation.LIST_ACTIVE,
            Operation.LIST_ALL,
        )
    ),
)
OPERATION_AVAILABILITY: Final = 0.999
"""Share of operations that do not fail, over 30 days."""
API_AVAILABILITY: Final = 0.999
"""Share of /api requests that are not answered 5xx, over 30 days."""
