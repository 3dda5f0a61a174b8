"""Events as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lift_telemetry.event import OperationEvent
from lift_telemetry.instruments import Instruments
from lift_telemetry.metric import Metric

_Bound = tuple[Callable[[], None], Callable[..., Any]]


class PrometheusSink:
    """Counts and times operations.

    *duration* has the labels backend, operation and result, *total* backend, operation and outcome, *denials*
    operation and kind: it counts operations whose attribute `denial_kind` is set.
    """

    name = "prometheus"

    def __init__(self, instruments: Instruments, *, duration: Metric, total: Metric, denials: Metric) -> None:
        self._child = instruments.child
        self._duration = duration
        self._total = total
        self._denials = denials
        # looking a child up by its labels costs as much as counting, so each is looked up once
        self._bound: dict[tuple[str, ...], _Bound] = {}

    def finished(self, event: OperationEvent) -> None:
        """Count the outcome and observe the duration, with the trace as exemplar where it is sampled."""
        key = event[:3]  # operation, backend and outcome
        count, observe = self._bound.get(key) or self._bind(*key)
        count()
        # an exemplar's 40 characters are well within the 128 that it may have
        observe(event.duration, {"trace_id": event.trace_id} if event.trace_id else None)
        kind = event.attributes.get("denial_kind")
        if kind is not None:
            self._child(self._denials, event.operation, kind).inc()

    def _bind(self, operation: str, backend: str, outcome: str) -> _Bound:
        result = "ok" if outcome == "ok" else "error"
        bound = (
            self._child(self._total, backend, operation, outcome).inc,
            self._child(self._duration, backend, operation, result).observe,
        )
        self._bound[operation, backend, outcome] = bound
        return bound
