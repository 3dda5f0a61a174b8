"""What operations note of themselves."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from lift_store.notes import note, note_not_found
from lift_store.observability import observe_on
from lift_store.protocol import Backend
from lift_telemetry.event import OperationEvent
from lift_telemetry.observe import Telemetry, observed


class Seen(list[OperationEvent]):
    """A sink that keeps what it is told."""

    name = "seen"

    def finished(self, event: OperationEvent) -> None:
        """Keep *event*."""
        self.append(event)


class Broken:
    """A sink that fails."""

    name = "logs"

    def finished(self, event: OperationEvent) -> None:
        """Fail."""
        raise RuntimeError(event.operation)


class Shop:
    """An object whose one operation finds nothing, and says what it looked for."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.telemetry = telemetry

    @observed
    async def get(self) -> None:
        """Find nothing."""
        self.look()

    def look(self) -> None:
        """Note it, whoever asks."""
        note(colour="red")
        note_not_found()


async def test_notes_belong_to_the_operation_under_way(registry: CollectorRegistry) -> None:
    """Outside of one there is nobody to tell, and the next operation is told nothing of it."""
    seen = Seen()
    shop = Shop(observe_on(registry, Backend.MEMORY, seen).telemetry)
    await shop.get()
    shop.look()
    assert [(event.outcome, event.attributes) for event in seen] == [("not_found", {"colour": "red"})]


async def test_a_sink_that_fails_is_counted(registry: CollectorRegistry) -> None:
    """The operator sees which one; the caller sees nothing."""
    await Shop(observe_on(registry, Backend.MEMORY, Broken()).telemetry).get()
    assert registry.get_sample_value("lift_store_telemetry_errors_total", {"sink": "logs"}) == 1
