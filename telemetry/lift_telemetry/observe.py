"""The decorator that turns every caller's operation into one event for every sink, and never disturbs the operation."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Coroutine, Sequence
from time import perf_counter
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from opentelemetry.trace import INVALID_SPAN, get_current_span

from lift_telemetry.event import CURRENT, Operation, OperationEvent

_log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class Sink(Protocol):
    """Takes events somewhere. What it raises is counted and logged once, and goes no further."""

    @property
    def name(self) -> str:
        """The label of its errors."""
        ...

    def finished(self, event: OperationEvent) -> None:
        """Take note of an operation that has ended."""
        ...


class Telemetry:
    """Where the operations of one object go.

    *outcome_of* names the outcome of an exception; *is_failure* says which outcomes count against the objectives; *on_sink_error* is told
    of a sink's name and what it raised.
    """

    def __init__(
        self,
        backend: str,
        sinks: Sequence[Sink],
        *,
        outcome_of: Callable[[BaseException], str],
        is_failure: Callable[[str], bool],
        on_sink_error: Callable[[str, BaseException], None] | None = None,
    ) -> None:
        self.backend = str(backend)
        self._finished = [(sink.name, sink.finished) for sink in sinks]
        self._outcome_of = outcome_of
        self._is_failure = is_failure
        self._on_sink_error = on_sink_error
        self._complained: set[str] = set()
        # adding to a set is atomic: it needs no lock, which would cost as much as all the rest of the bookkeeping
        self._running: set[Operation] = set()

    def in_flight(self, name: str) -> int:
        """Return how many operations *name* have begun and not yet ended."""
        return sum(operation.operation == name for operation in self._running.copy())

    def begin(self, name: str) -> Operation:
        """Take note that the operation *name* has begun. Only the decorator calls this."""
        operation = Operation(name, self.backend)
        self._running.add(operation)
        return operation

    def end(self, operation: Operation, duration: float, error: BaseException | None) -> None:
        """Tell the sinks how it ended, after *duration* seconds. Only the decorator calls this."""
        self._running.discard(operation)
        operation.ended = True
        outcome = operation.outcome or ("ok" if error is None else self._outcome_of(error))
        event = OperationEvent(
            operation.operation,
            operation.backend,
            outcome,
            self._is_failure(outcome),
            duration,
            error,
            operation.attributes,
            _sampled_trace_id(),
        )
        for sink, finished in self._finished:
            try:
                finished(event)
            except Exception as problem:  # noqa: BLE001 - whatever a sink raises, the operation goes on
                self._complain(sink, problem)

    def _complain(self, sink: str, error: Exception) -> None:
        first = sink not in self._complained
        self._complained.add(sink)
        if first:
            _log.warning("telemetry sink %r failed, further failures are only counted", sink, exc_info=error)
        if self._on_sink_error:
            try:
                self._on_sink_error(sink, error)
            except Exception:  # noqa: BLE001 - whoever counts may fail too, for instance for a sink that the catalog does not list
                if first:
                    _log.warning("failures of telemetry sink %r cannot be counted", sink, exc_info=True)


def _sampled_trace_id() -> str | None:
    span = get_current_span()
    if span is INVALID_SPAN:  # the usual case, and worth its own line: it saves a third of a microsecond
        return None
    context = span.get_span_context()
    return f"{context.trace_id:032x}" if context.trace_flags & 1 else None


class Observed(Protocol):
    """What an object with observed methods has."""

    @property
    def telemetry(self) -> Telemetry:
        """Where its operations go."""
        ...


S = TypeVar("S", bound=Observed)


def observed(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Make each call of a coroutine method one operation, named as the method; the object's `telemetry` says where it goes.

    A call inside another observed operation, in the same task or one that it started, belongs to that one until it ends: a caller's
    operation is one event, whatever it is made of. Raises TypeError for anything but a coroutine function.
    """
    if not inspect.iscoroutinefunction(method):
        raise TypeError(f"{method!r} is not a coroutine function; only those can be observed")
    name = method.__name__

    @functools.wraps(method)
    async def observe(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        outer = CURRENT.get()
        if outer is not None and not outer.ended:
            return await method(self, *args, **kwargs)
        telemetry = self.telemetry
        operation = telemetry.begin(name)
        token = CURRENT.set(operation)
        error: BaseException | None = None
        started = perf_counter()
        try:
            return await method(self, *args, **kwargs)
        except BaseException as caught:
            error = caught
            raise
        finally:
            duration = perf_counter() - started
            CURRENT.reset(token)
            telemetry.end(operation, duration, error)

    observe.__observed__ = name  # type: ignore[attr-defined]  # for the test that looks for methods without it
    return observe
