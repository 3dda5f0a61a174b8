"""What users did, as metrics: sessions begun and ended, holes resolved."""

from __future__ import annotations

from lift_store import catalog
from lift_store.errors import Outcome
from lift_store.models import SessionStatus
from lift_store.protocol import Operation
from lift_telemetry.event import Operation as Running
from lift_telemetry.event import OperationEvent
from lift_telemetry.instruments import Instruments


class BusinessSink:
    """Counts operations that were done and are not repeats, by the attributes that the stores note; see lift_store.notes."""

    name = "business"

    def __init__(self, instruments: Instruments) -> None:
        self._child = instruments.child

    def started(self, operation: Running) -> None:
        """Count nothing yet."""

    def finished(self, event: OperationEvent) -> None:
        """Count what the operation did, once."""
        attributes = event.attributes
        if event.outcome != Outcome.OK or attributes.get("replayed"):
            return
        match event.operation:
            case Operation.CREATE:
                self._child(catalog.SESSIONS_CREATED, attributes["source"]).inc()
            case Operation.ADD_RESOLUTION:
                self._child(catalog.HOLES_RESOLVED, attributes["resolution_type"]).inc()
            case Operation.UPDATE if attributes.get("status") == SessionStatus.FINALIZED:
                self._child(catalog.SESSIONS_FINALIZED, attributes["source"]).inc()
                self._child(catalog.SESSION_DURATION, attributes["source"]).observe(attributes["age_seconds"])
            case Operation.UPDATE if attributes.get("status") == SessionStatus.ABANDONED:
                self._child(catalog.SESSIONS_ABANDONED, attributes["source"]).inc()
