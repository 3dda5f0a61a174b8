"""Instrumentation for any asynchronous store: events, Prometheus metrics, pools, logs. Knows nothing of what is stored."""

from lift_telemetry.event import Operation, OperationEvent, current_operation
from lift_telemetry.instruments import Instruments
from lift_telemetry.metric import Kind, Label, Metric
from lift_telemetry.observe import Sink, Telemetry, observed
from lift_telemetry.pools import PoolCollector, PoolSnapshot
from lift_telemetry.sinks.prometheus import PrometheusSink

__all__ = [
    "Instruments",
    "Kind",
    "Label",
    "Metric",
    "Operation",
    "OperationEvent",
    "PoolCollector",
    "PoolSnapshot",
    "PrometheusSink",
    "Sink",
    "Telemetry",
    "current_operation",
    "observed",
]
