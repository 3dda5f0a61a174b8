"""What users did is counted from events that were done, once."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from lift_store import catalog
from lift_store.business import BusinessSink
from lift_store.errors import Outcome
from lift_store.models import ResolutionType, SessionSource, SessionStatus
from lift_store.protocol import Operation
from lift_telemetry import Instruments, OperationEvent

FINALIZED = {"status": SessionStatus.FINALIZED, "source": SessionSource.PROMPT, "age_seconds": 90.0}
COUNTED: list[tuple[Operation, dict[str, Any], dict[str, float]]] = [
    (Operation.CREATE, {"source": SessionSource.REVERSE_MODE}, {"sessions_created_total{reverse_mode}": 1}),
    (
        Operation.UPDATE,
        FINALIZED,
        {
            "sessions_finalized_total{prompt}": 1,
            "session_duration_seconds_bucket{prompt,300.0}": 1,
            "session_duration_seconds_count{prompt}": 1,
            "session_duration_seconds_sum{prompt}": 90,
        },
    ),
    (Operation.UPDATE, {**FINALIZED, "status": SessionStatus.ABANDONED}, {"sessions_abandoned_total{prompt}": 1}),
    (Operation.ADD_RESOLUTION, {"resolution_type": ResolutionType.ADD_CONSTRAINT}, {"holes_resolved_total{add_constraint}": 1}),
]
NOT_COUNTED: list[tuple[Operation, dict[str, Any]]] = [
    (Operation.UPDATE, {}),
    (Operation.UPDATE, {**FINALIZED, "status": SessionStatus.PAUSED}),
    (Operation.GET, {"source": SessionSource.PROMPT}),
]


def counted(operation: Operation, attributes: dict[str, Any], outcome: str = "ok") -> dict[str, float]:
    """Return the series that an event moves, without the prefix of their names and the later buckets."""
    registry = CollectorRegistry()
    sink = BusinessSink(Instruments(catalog.METRICS, registry))
    sink.finished(
        OperationEvent(str(operation), "memory", outcome, failed=False, duration=0.1, error=None, attributes=attributes, trace_id=None)
    )
    moved = {
        f"{sample.name.removeprefix('lift_store_')}{{{','.join(sample.labels.values())}}}": sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.value
    }
    return {name: value for name, value in moved.items() if "bucket" not in name or name.endswith(",300.0}")}


@pytest.mark.parametrize(("operation", "attributes", "expected"), COUNTED)
def test_what_was_done_is_counted(operation: Operation, attributes: dict[str, Any], expected: dict[str, float]) -> None:
    """By its source or type, and nothing else moves; 90 seconds lie between the bounds 60 and 300."""
    assert counted(operation, attributes) == expected


@pytest.mark.parametrize(("operation", "attributes", "_"), COUNTED)
@pytest.mark.parametrize(("outcome", "more"), [("ok", {"replayed": True}), *((outcome, {}) for outcome in Outcome if outcome != "ok")])
def test_what_was_not_done_or_done_before_is_not(
    operation: Operation, attributes: dict[str, Any], _: object, outcome: str, more: dict[str, Any]
) -> None:
    """A repeated request, and every way in which an operation may fail, moves nothing."""
    assert counted(operation, {**attributes, **more}, outcome) == {}


@pytest.mark.parametrize(("operation", "attributes"), NOT_COUNTED)
def test_other_work_is_not_counted(operation: Operation, attributes: dict[str, Any]) -> None:
    """An update of the metadata, a pause, a read."""
    assert counted(operation, attributes) == {}
