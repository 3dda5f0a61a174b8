"""Events as Prometheus metrics."""

from __future__ import annotations

from lift_telemetry.event import Operation, OperationEvent
from lift_telemetry.instruments import Instruments
from lift_telemetry.metric import Metric


class PrometheusSink:
    """Counts and times operations.

    *duration* has the labels backend, operation and result, *total* backend, operation and outcome, *in_flight* operation, *denials*
    operation and kind: it counts operations whose attribute `denial_kind` is set.
    """

    name = "prometheus"

    def __init__(self, instruments: Instruments, *, duration: Metric, total: Metric, in_flight: Metric, denials: Metric) -> None:
        self._child = instruments.child
        self._duration = duration
        self._total = total
        self._in_flight = in_flight
        self._denials = denials

    def started(self, operation: Operation) -> None:
        """Raise the operations in flight."""
        self._child(self._in_flight, operation.operation).inc()

    def finished(self, event: OperationEvent) -> None:
        """Count the outcome and observe the duration, with the trace as exemplar where it is sampled."""
        self._child(self._in_flight, event.operation).dec()
        self._child(self._total, event.backend, event.operation, event.outcome).inc()
        histogram = self._child(self._duration, event.backend, event.operation, "ok" if event.outcome == "ok" else "error")
        if event.trace_id is None:
            histogram.observe(event.duration)
        else:
            # 8 + 32 characters, well within the 128 that an exemplar may have
            histogram.observe(event.duration, {"trace_id": event.trace_id})
        kind = event.attributes.get("denial_kind")
        if kind is not None:
            self._child(self._denials, event.operation, kind).inc()
