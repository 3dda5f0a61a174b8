"""A small catalog of its own, so that the mechanism is tested without the store."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from lift_telemetry import Instruments, Kind, Label, Metric, OperationEvent, PrometheusSink, Sink, Telemetry

OPERATION = Label("operation", ("fetch", "store"))
BACKEND = Label("backend", ("disk", "net"))
DURATION = Metric("demo_seconds", Kind.HISTOGRAM, "Time.", (BACKEND, OPERATION, Label("result", ("ok", "error"))), (0.01, 0.1, 1.0))
TOTAL = Metric("demo_total", Kind.COUNTER, "Count.", (BACKEND, OPERATION, Label("outcome", ("ok", "missing", "broken", "cancelled"))))
IN_FLIGHT = Metric("demo_in_flight", Kind.GAUGE, "Now.", (OPERATION,))
DENIALS = Metric("demo_denials_total", Kind.COUNTER, "Refused.", (OPERATION, Label("kind", ("wall", "door"))))
LATER = Metric("demo_checked", Kind.GAUGE, "Known later.", (Label("check", ("a",)),), starts_at_zero=False)
OPEN = Metric("demo_open_total", Kind.COUNTER, "By an open label.", (Label("route"),))
CATALOG = (DURATION, TOTAL, IN_FLIGHT, DENIALS, LATER, OPEN)


class BrokenError(Exception):
    """What the demonstration calls a failure."""


def outcome_of(error: BaseException) -> str:
    """Name the outcome of an exception."""
    return "broken" if isinstance(error, BrokenError) else "cancelled"


@dataclass
class Recorder:
    """A sink that keeps what it was told."""

    name: str = "recorder"
    events: list[OperationEvent] = field(default_factory=list)

    def finished(self, event: OperationEvent) -> None:
        """Keep the event."""
        self.events.append(event)


def telemetry_of(*sinks: Sink) -> Telemetry:
    """Return a telemetry of the backend disk with these sinks."""
    return Telemetry("disk", sinks, outcome_of=outcome_of, is_failure=lambda outcome: outcome == "broken")


def prometheus_on(registry: CollectorRegistry) -> PrometheusSink:
    """Return the Prometheus sink of the small catalog on *registry*."""
    instruments = Instruments(CATALOG, registry, fixed={"backend": ("disk",)})
    return PrometheusSink(instruments, duration=DURATION, total=TOTAL, denials=DENIALS)
