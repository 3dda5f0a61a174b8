"""What users did, as metrics: sessions begun and ended, holes resolved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lift_store import catalog
from lift_store.errors import Outcome
from lift_store.models import SessionStatus
from lift_store.protocol import Operation
from lift_telemetry.event import OperationEvent
from lift_telemetry.instruments import Instruments


class BusinessSink:
    """Counts operations that were done and are not repeats, by the attributes that the stores note; see lift_store.notes."""

    name = "business"

    def __init__(self, instruments: Instruments) -> None:
        self._child = instruments.child
        self._count = {
            str(Operation.CREATE): self._created,
            str(Operation.UPDATE): self._closed,
            str(Operation.ADD_RESOLUTION): self._resolved,
        }

    def finished(self, event: OperationEvent) -> None:
        """Count what the operation did, once."""
        count = self._count.get(event.operation)
        if count and event.outcome == Outcome.OK and not event.attributes.get("replayed"):
            count(event.attributes)

    def _created(self, attributes: Mapping[str, Any]) -> None:
        self._child(catalog.SESSIONS_CREATED, attributes["source"]).inc()

    def _resolved(self, attributes: Mapping[str, Any]) -> None:
        self._child(catalog.HOLES_RESOLVED, attributes["resolution_type"]).inc()

    def _closed(self, attributes: Mapping[str, Any]) -> None:
        status = attributes.get("status")
        if status == SessionStatus.FINALIZED:
            self._child(catalog.SESSIONS_FINALIZED, attributes["source"]).inc()
            self._child(catalog.SESSION_DURATION, attributes["source"]).observe(attributes["age_seconds"])
        elif status == SessionStatus.ABANDONED:
            self._child(catalog.SESSIONS_ABANDONED, attributes["source"]).inc()
