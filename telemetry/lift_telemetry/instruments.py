"""A catalog made live: one prometheus_client object for each metric, its fixed series at 0 from the start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from lift_telemetry.metric import Kind, Metric

# each would cost one more series for every counter and histogram, and Prometheus 2 and 3 store it as an ordinary one
disable_created_metrics()  # type: ignore[no-untyped-call]

_CLASSES: Final = {Kind.COUNTER: Counter, Kind.GAUGE: Gauge, Kind.HISTOGRAM: Histogram}


class Instruments:
    """The metrics of *catalog* on *registry*.

    *fixed* narrows a label to the values that this process can have. *collected* names metrics that a collector serves at the scrape
    instead. Every combination of known label values is exported as 0 from now on, unless the metric says otherwise.
    """

    def __init__(
        self,
        catalog: Iterable[Metric],
        registry: CollectorRegistry,
        *,
        fixed: Mapping[str, tuple[str, ...]] | None = None,
        collected: frozenset[str] = frozenset(),
    ) -> None:
        self._registry = registry
        self._fixed = fixed or {}
        self._families: dict[str, Any] = {}
        self._metrics: dict[str, Metric] = {}
        self._children: dict[tuple[str, ...], Any] = {}
        for metric in catalog:
            if metric.name not in collected:
                self._metrics[metric.name] = metric
                self._families[metric.name] = self._family(metric)
                self._start(metric)

    def child(self, metric: Metric, *values: str) -> Any:
        """Return the series of *metric* with these label values, in the order of its labels; made on first use, then bound.

        Raises KeyError for a metric that is not in the catalog, ValueError for a label value that it does not list.
        """
        key = (metric.name, *values)
        try:
            return self._children[key]
        except KeyError:
            child = self._children[key] = self._make(metric.name, values)
            return child

    def _family(self, metric: Metric) -> Any:
        more = {"buckets": metric.buckets} if metric.kind is Kind.HISTOGRAM else {}
        names = [label.name for label in metric.labels]
        # without labels prometheus_client exports 0 at once, so what must be absent until measured is registered then
        registry = self._registry if names or metric.starts_at_zero else None
        return _CLASSES[metric.kind](metric.name, metric.help, names, registry=registry, **more)

    def _values(self, metric: Metric) -> list[tuple[str, ...] | None]:
        return [self._fixed.get(label.name, label.values) for label in metric.labels]

    def _start(self, metric: Metric) -> None:
        known = [values for values in self._values(metric) if values is not None]
        if metric.starts_at_zero and len(known) == len(metric.labels):
            for values in product(*known):
                self.child(metric, *map(str, values))

    def _make(self, name: str, values: tuple[str, ...]) -> Any:
        metric = self._metrics.get(name)
        if metric is None:
            raise KeyError(f"metric {name!r} is not in the catalog of these instruments")
        if len(values) != len(metric.labels):
            raise ValueError(f"metric {name!r} has {len(metric.labels)} labels, got {len(values)} values")
        for label, allowed, value in zip(metric.labels, self._values(metric), values, strict=True):
            if allowed is not None and value not in allowed:
                raise ValueError(f"metric {name!r}: label {label.name!r} is one of {', '.join(allowed)}, not {value!r}")
        if values:
            return self._families[name].labels(*values)
        if not metric.starts_at_zero:
            self._registry.register(self._families[name])
        return self._families[name]
