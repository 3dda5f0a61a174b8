"""The decorator: one event for each caller's operation, and never a disturbance."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler

from lift_telemetry import OperationEvent, Sink, Telemetry, current_operation, observed
from tests.unit.telemetry.demo import BrokenError, Recorder, telemetry_of


class Shop:
    """Something with operations."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.telemetry = telemetry

    @observed
    async def fetch(self, seconds: float = 0.0, *, error: BaseException | None = None) -> float:
        """Wait, then return or raise."""
        await asyncio.sleep(seconds)
        if error:
            raise error
        return seconds

    @observed
    async def store(self, *, inside_a_task: bool = False) -> str:
        """Be made of another operation."""
        await (asyncio.create_task(self.fetch()) if inside_a_task else self.fetch())
        return "stored"

    @observed
    async def leave_running(self) -> asyncio.Task[None]:
        """Start a task that goes on after the operation."""
        return asyncio.create_task(self._go_on())

    async def _go_on(self) -> None:
        await asyncio.sleep(0.01)
        assert current_operation() is None
        await self.fetch()
        await self.fetch()

    @observed
    async def look(self) -> None:
        """Find nothing, and say so without raising."""
        operation = current_operation()
        assert operation is not None
        operation.outcome = "missing"
        operation.attributes["shelf"] = 3


class Faulty:
    """A sink that raises."""

    name = "faulty"

    def finished(self, event: OperationEvent) -> None:
        """Raise."""
        raise RuntimeError(event.operation)


async def test_a_coroutine_is_timed_from_its_start_to_its_end() -> None:
    """A wait inside it is inside the duration, and the result passes through."""
    recorder = Recorder()
    assert await Shop(telemetry_of(recorder)).fetch(0.05) == 0.05
    (event,) = recorder.events
    assert 0.05 <= event.duration < 1
    assert (event.operation, event.backend, event.outcome, event.failed, event.error) == ("fetch", "disk", "ok", False, None)


@pytest.mark.parametrize(("error", "outcome", "failed"), [(BrokenError(), "broken", True), (KeyError("k"), "cancelled", False)])
async def test_an_error_is_recorded_and_passes_through(error: Exception, outcome: str, failed: bool) -> None:
    """With the outcome that it means, and unchanged."""
    recorder = Recorder()
    with pytest.raises(type(error)) as caught:
        await Shop(telemetry_of(recorder)).fetch(error=error)
    assert caught.value is error
    assert (recorder.events[0].outcome, recorder.events[0].failed, recorder.events[0].error) == (outcome, failed, error)
    assert current_operation() is None


async def test_a_cancelled_call_is_recorded() -> None:
    """With the time that it took until then."""
    recorder = Recorder()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await Shop(telemetry_of(recorder)).fetch(10)
    assert recorder.events[0].outcome == "cancelled"
    assert recorder.events[0].duration >= 0.04


async def test_the_body_may_name_its_outcome_and_add_attributes() -> None:
    """What only it knows."""
    recorder = Recorder()
    await Shop(telemetry_of(recorder)).look()
    assert (recorder.events[0].outcome, recorder.events[0].attributes) == ("missing", {"shelf": 3})


def test_a_decorated_method_stays_what_it_was() -> None:
    """Name, docstring, signature, and a coroutine function."""
    assert inspect.iscoroutinefunction(Shop.fetch)
    assert (Shop.fetch.__name__, Shop.fetch.__doc__) == ("fetch", "Wait, then return or raise.")
    assert list(inspect.signature(Shop.fetch).parameters) == ["self", "seconds", "error"]
    assert vars(Shop.fetch)["__observed__"] == "fetch"


def test_only_coroutine_functions_can_be_observed() -> None:
    """A plain function, a generator or an asynchronous generator would be timed wrongly, so each is refused at once."""

    def plain(_: Shop) -> None: ...

    async def stream(_: Shop) -> AsyncIterator[int]:
        yield 1

    functions: list[Any] = [plain, stream]
    for function in functions:
        with pytest.raises(TypeError, match="not a coroutine function"):
            observed(function)


@pytest.mark.parametrize("inside_a_task", [False, True])
async def test_a_callers_operation_is_one_event_whatever_it_is_made_of(inside_a_task: bool) -> None:
    """An observed call inside another, in its task or one that it starts, is part of that one."""
    recorder = Recorder()
    await Shop(telemetry_of(recorder)).store(inside_a_task=inside_a_task)
    assert [event.operation for event in recorder.events] == ["store"]


async def test_a_task_that_outlives_its_operation_makes_operations_of_its_own() -> None:
    """Work left running in the background, such as a replay, is no part of the operation that happened to start it."""
    recorder = Recorder()
    shop = Shop(telemetry_of(recorder))
    await (await shop.leave_running())
    assert [event.operation for event in recorder.events] == ["leave_running", "fetch", "fetch"]
    assert recorder.events[0].attributes == {}


async def test_operations_in_flight_are_counted_until_they_end() -> None:
    """However they end."""
    telemetry = telemetry_of()
    shop = Shop(telemetry)
    running = [asyncio.create_task(shop.fetch(10)) for _ in range(2)]
    await asyncio.sleep(0)  # until they have begun
    assert (telemetry.in_flight("fetch"), telemetry.in_flight("look")) == (2, 0)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    with pytest.raises(BrokenError):
        await shop.fetch(error=BrokenError())
    assert telemetry.in_flight("fetch") == 0


async def test_operations_side_by_side_are_events_of_their_own() -> None:
    """Two calls of one caller at once."""
    recorder = Recorder()
    shop = Shop(telemetry_of(recorder))
    await asyncio.gather(shop.fetch(), shop.fetch(0.01), shop.look())
    assert sorted(event.operation for event in recorder.events) == ["fetch", "fetch", "look"]


async def test_a_failing_sink_disturbs_neither_the_call_nor_the_other_sinks(caplog: pytest.LogCaptureFixture) -> None:
    """Each failure is reported to whoever counts; the log hears of it once."""
    recorder, failures = Recorder(), list[str]()
    telemetry = Telemetry(
        "disk",
        (Faulty(), recorder),
        outcome_of=lambda _: "broken",
        is_failure=lambda _: False,
        on_sink_error=lambda name, error: failures.append(f"{name} {error}"),
    )
    with caplog.at_level(logging.WARNING):
        await Shop(telemetry).fetch()
        await Shop(telemetry).look()
    assert failures == ["faulty fetch", "faulty look"]
    assert [event.operation for event in recorder.events] == ["fetch", "look"]
    assert len(caplog.records) == 1
    await Shop(telemetry_of(Faulty())).fetch()  # nobody counts: it is still only logged


async def test_a_failing_count_of_failures_disturbs_the_call_no_more(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever counts may not know the sink; the other sinks are still told, and the log says so once."""

    def refuse(name: str, _: BaseException) -> None:
        raise ValueError(name)

    recorder = Recorder()
    telemetry = Telemetry("disk", (Faulty(), recorder), outcome_of=lambda _: "broken", is_failure=lambda _: False, on_sink_error=refuse)
    with caplog.at_level(logging.WARNING):
        assert [await Shop(telemetry).fetch() for _ in range(2)] == [0.0, 0.0]
    assert [event.operation for event in recorder.events] == ["fetch", "fetch"]
    assert ["cannot be counted" in record.message for record in caplog.records] == [False, True]


@pytest.mark.parametrize(("sampler", "linked"), [(ALWAYS_ON, True), (ALWAYS_OFF, False)])
async def test_an_event_names_its_trace_only_if_that_is_kept(sampler: Sampler, linked: bool) -> None:
    """A link to a trace that nobody sampled would lead nowhere."""
    recorder = Recorder()
    tracer = TracerProvider(sampler=sampler).get_tracer("test")
    with tracer.start_as_current_span("request") as span:
        await Shop(telemetry_of(recorder)).fetch()
    expected = f"{span.get_span_context().trace_id:032x}" if linked else None
    assert recorder.events[0].trace_id == expected


async def test_outside_of_a_span_there_is_no_trace() -> None:
    """The usual case without tracing."""
    recorder = Recorder()
    sinks: tuple[Sink, ...] = (recorder,)
    await Shop(telemetry_of(*sinks)).fetch()
    assert recorder.events[0].trace_id is None
