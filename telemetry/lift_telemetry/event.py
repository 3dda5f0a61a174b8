"""One operation as data: what its body may add while it runs, and the event that every sink formats when it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple


class OperationEvent(NamedTuple):
    """How one caller's operation went; a tuple, since making one costs a third of making a frozen dataclass.

    *duration* is in seconds. *failed* says whether it counts against the objectives. *trace_id* is 32 hexadecimal digits, and None unless
    the current span is sampled: a link to a trace that nobody kept is worse than none.
    """

    operation: str
    backend: str
    outcome: str
    failed: bool
    duration: float
    error: BaseException | None
    attributes: Mapping[str, Any]
    trace_id: str | None


class Operation:
    """An operation under way. Its body may set *outcome* (None: decided by how the call ends) and add to *attributes*.

    *ended* is set by the decorator: a task that the operation started, and that outlives it, still has it in its context.
    """

    __slots__ = ("attributes", "backend", "ended", "operation", "outcome")

    def __init__(self, operation: str, backend: str) -> None:
        self.operation = operation
        self.backend = backend
        self.outcome: str | None = None
        self.attributes: dict[str, Any] = {}
        self.ended = False


CURRENT: ContextVar[Operation | None] = ContextVar("lift_telemetry_operation", default=None)
"""The operation that this task belongs to, which may have ended; set by the decorator alone."""


def current_operation() -> Operation | None:
    """Return the operation under way in this task, or None outside of one."""
    operation = CURRENT.get()
    return None if operation is None or operation.ended else operation
