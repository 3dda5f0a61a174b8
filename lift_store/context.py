"""What goes down to the database with each operation so that its traces can be found there: trace and request id."""

from __future__ import annotations

from contextvars import ContextVar

from opentelemetry import trace

request_id: ContextVar[str | None] = ContextVar("lift_store_request_id", default=None)
"""The id of the HTTP request, or of the job, on whose behalf operations run; whoever receives the request sets it."""


def operation_context() -> dict[str, str] | None:
    """Return the `context` argument of the SQL functions: W3C traceparent and request id; None without either."""
    current, request = trace.get_current_span(), request_id.get()
    context = {"request_id": request} if request else {}
    if current is not trace.INVALID_SPAN:
        span = current.get_span_context()
        context["traceparent"] = f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
    return context or None
