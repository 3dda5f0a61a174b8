"""Connection pools, read at the scrape: nobody has to remember to set a gauge."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from lift_telemetry.metric import Metric

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """What a pool is doing now: connections by state, callers waiting; and since it was made: timeouts, connections opened, errors."""

    name: str
    max: int
    idle: int
    in_use: int
    connecting: int
    pending: int
    timeouts: int
    opened: int
    errors: int


class PoolCollector(Collector):
    """Exports a snapshot of each pool under the metrics given. Reads what the process knows; no I/O."""

    def __init__(
        self,
        *,
        connections: Metric,
        max: Metric,  # noqa: A002 - the snapshot's own word
        pending: Metric,
        timeouts: Metric,
        opened: Metric,
        errors: Metric,
    ) -> None:
        self._connections = connections
        self._gauges = {"max": max, "pending": pending}
        self._counters = {"timeouts": timeouts, "opened": opened, "errors": errors}
        self._pools: list[Callable[[], PoolSnapshot]] = []

    def add(self, snapshot: Callable[[], PoolSnapshot]) -> None:
        """Export the pool that *snapshot* describes from now on."""
        self._pools.append(snapshot)

    def remove(self, snapshot: Callable[[], PoolSnapshot]) -> None:
        """Export it no longer: a closed pool has no series."""
        self._pools.remove(snapshot)

    def describe(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Name the families, so that a registry need not collect to know them."""
        return iter(self._families([]))

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Return what every pool is doing; one that raises is left out, since one collector's error would end the whole scrape."""
        snapshots = []
        for snapshot in self._pools:
            try:
                snapshots.append(snapshot())
            except Exception:  # noqa: BLE001 - whatever a pool raises, the others are read
                _log.exception("a pool could not be read")
        return iter(self._families(snapshots))

    def _families(self, pools: list[PoolSnapshot]) -> list[GaugeMetricFamily | CounterMetricFamily]:
        states = GaugeMetricFamily(self._connections.name, self._connections.help, labels=["pool", "state"])
        for pool in pools:
            for state in ("idle", "in_use", "connecting"):
                states.add_metric([pool.name, state], getattr(pool, state))
        families: list[GaugeMetricFamily | CounterMetricFamily] = [states]
        for kind, metrics in ((GaugeMetricFamily, self._gauges), (CounterMetricFamily, self._counters)):
            for field, metric in metrics.items():
                family = kind(metric.name, metric.help, labels=["pool"])
                for pool in pools:
                    family.add_metric([pool.name], getattr(pool, field))
                families.append(family)
        return families
