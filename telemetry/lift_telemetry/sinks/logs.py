"""Events as log lines: failures and slow operations; the rest is what metrics are for."""

from __future__ import annotations

import structlog

from lift_telemetry.event import OperationEvent

_log = structlog.stdlib.get_logger("lift_telemetry.operations")

_CAUSES = ("server_timing",)
"""Attributes that say what took the time, where the operation has them."""


class LogSink:
    """Logs operations that failed, and those that took *slow* seconds or more (default 1)."""

    name = "logs"

    def __init__(self, *, slow: float = 1.0) -> None:
        self._slow = slow

    def finished(self, event: OperationEvent) -> None:
        """Log the operation if somebody should look at it: the error's type, never its text, which may quote a user."""
        if not event.failed and event.duration < self._slow:
            return
        report = _log.error if event.failed else _log.warning
        report(
            "operation_failed" if event.failed else "operation_slow",
            operation=event.operation,
            backend=event.backend,
            outcome=event.outcome,
            error=type(event.error).__name__ if event.error else None,
            duration=round(event.duration, 6),
            **{name: event.attributes[name] for name in _CAUSES if name in event.attributes},
        )
