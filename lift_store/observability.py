"""Where a store's events and pool figures go: the catalog made live on one Prometheus registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

from prometheus_client import REGISTRY, CollectorRegistry

from lift_store import catalog
from lift_store.business import BusinessSink
from lift_store.errors import FAILURES, outcome_of
from lift_store.protocol import Backend, Operation
from lift_telemetry.instruments import Instruments
from lift_telemetry.observe import Sink, Telemetry
from lift_telemetry.pools import PoolCollector
from lift_telemetry.sinks.prometheus import PrometheusSink

_COLLECTED = frozenset(
    metric.name
    for metric in (
        catalog.POOL_CONNECTIONS,
        catalog.POOL_CONNECTIONS_MAX,
        catalog.POOL_PENDING,
        catalog.POOL_TIMEOUTS,
        catalog.POOL_OPENED,
        catalog.POOL_ERRORS,
    )
)


@dataclass(frozen=True, slots=True)
class Observability:
    """What one store reports to: *telemetry* takes its operations, *pools* its pool, *instruments* holds every metric."""

    telemetry: Telemetry
    instruments: Instruments
    pools: PoolCollector

    def pool_acquire(self, pool: str) -> Callable[[float], None]:
        """Return what takes the seconds that a caller of *pool* waited for a connection."""
        return self.instruments.child(catalog.POOL_ACQUIRE, pool).observe  # type: ignore[no-any-return]

    def retried(self, operation: Operation) -> None:
        """Count one more attempt inside *operation*."""
        self.instruments.child(catalog.RETRIES, self.telemetry.backend, operation).inc()


def observe_on(registry: CollectorRegistry, backend: Backend, *extra: Sink) -> Observability:
    """Make the catalog live on *registry*, for a process whose backend is *backend*; *extra* sinks get every event too.

    Every fixed series is there at 0 from now on. A registry takes the catalog once.
    """
    pool = (str(backend),) if backend in catalog.POOLS else ()
    instruments = Instruments(catalog.METRICS, registry, fixed={"backend": (backend,), "pool": pool}, collected=_COLLECTED)

    def count_error(sink: str, _: BaseException) -> None:
        instruments.child(catalog.TELEMETRY_ERRORS, sink).inc()

    prometheus = PrometheusSink(
        instruments,
        duration=catalog.OPERATION_DURATION,
        total=catalog.OPERATIONS,
        denials=catalog.RLS_DENIALS,
    )
    pools = PoolCollector(
        connections=catalog.POOL_CONNECTIONS,
        max=catalog.POOL_CONNECTIONS_MAX,
        pending=catalog.POOL_PENDING,
        timeouts=catalog.POOL_TIMEOUTS,
        opened=catalog.POOL_OPENED,
        errors=catalog.POOL_ERRORS,
    )
    registry.register(pools)
    telemetry = Telemetry(
        backend,
        (prometheus, BusinessSink(instruments), *extra),
        outcome_of=outcome_of,
        is_failure=FAILURES.__contains__,
        on_sink_error=count_error,
    )
    for operation in Operation:
        # read at the scrape: counting costs a third of what two writes to a gauge do
        instruments.child(catalog.IN_FLIGHT, operation).set_function(partial(telemetry.in_flight, str(operation)))
    return Observability(telemetry, instruments, pools)


@cache
def observe_store(backend: Backend) -> Observability:
    """Return the observability of this process's global registry; shared by stores of one backend. ValueError for another one."""
    try:
        return observe_on(REGISTRY, backend)
    except ValueError:  # prometheus_client's own, which lists series
        instead = "give this store observability=observe_on(CollectorRegistry(), ...)"
        raise ValueError(f"the global registry has the metrics of a store of another backend than {backend}; {instead}") from None
