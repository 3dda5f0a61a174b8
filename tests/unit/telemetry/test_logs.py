"""Logs in one form, without secrets; slow loops and slow operations seen."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry, Histogram
from structlog.testing import capture_logs

from lift_telemetry import OperationEvent
from lift_telemetry.logs import configure_logging
from lift_telemetry.loop_lag import LoopLag
from lift_telemetry.sinks.logs import LogSink


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Logging is global: put it back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return the JSON objects that were written."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("logger", ["uvicorn.access", "psycopg.pool", "lift_store.anything"])
def test_lines_of_libraries_have_the_form_of_ours(logger: str) -> None:
    """One JSON object, with level, logger, UTC time and what the context holds."""
    out = io.StringIO()
    configure_logging(json=True, stream=out)
    structlog.contextvars.bind_contextvars(request_id="r-1")
    structlog.get_logger("ours").info("hello", route="/a")
    logging.getLogger(logger).warning("could not %s", "connect", extra={"pool": "main"})
    ours, theirs = lines(out)
    assert (ours["event"], ours["level"], ours["logger"], ours["route"]) == ("hello", "info", "ours", "/a")
    assert (theirs["event"], theirs["level"], theirs["logger"], theirs["pool"]) == ("could not connect", "warning", logger, "main")
    for line in (ours, theirs):
        assert line["request_id"] == "r-1"
        assert datetime.fromisoformat(line["timestamp"]).utcoffset() == timedelta(0)


def test_an_exception_is_one_line() -> None:
    """With its traceback inside."""
    out = io.StringIO()
    configure_logging(json=True, stream=out)
    try:
        raise KeyError("k")
    except KeyError:
        logging.getLogger("x").exception("failed")
    assert "KeyError" in lines(out)[0]["exception"]


@pytest.mark.parametrize("json", [True, False])
def test_a_traceback_holds_no_local_variables(json: bool) -> None:
    """They may be passwords and prompts, whatever library would like to show them."""
    out = io.StringIO()
    configure_logging(json=json, stream=out)
    local = str(6 * 7)  # its value is not in the source, which a traceback may quote
    try:
        raise KeyError(len(local))
    except KeyError:
        logging.getLogger("x").exception("failed")
    assert "KeyError" in out.getvalue()
    assert "'42'" not in out.getvalue()


def test_configuring_twice_does_not_double_lines() -> None:
    """The later configuration replaces the earlier, for loggers made before it too."""
    first, second = io.StringIO(), io.StringIO()
    configure_logging(json=True, stream=first)
    log = structlog.get_logger("early")
    log.info("one")
    configure_logging(json=True, level="WARNING", stream=second)
    log.info("quiet")
    log.warning("two")
    assert [line["event"] for line in lines(first)] == ["one"]
    assert [line["event"] for line in lines(second)] == ["two"]


def test_clients_do_not_log_urls() -> None:
    """Addresses hold ids; only their warnings are kept."""
    out = io.StringIO()
    configure_logging(json=True, level="DEBUG", stream=out)
    logging.getLogger("httpx").info("HTTP Request: GET http://x/secret-id")
    logging.getLogger("httpcore.connection").debug("connect_tcp.started")
    assert lines(out) == []


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "password",
        "Authorization",
        "jwt",
        "api_key",
        "x-api-key",
        "apikey",
        "accessToken",
        "client_secret",
        "prompt",
        "content",
        "ir",
        "cookie",
        "dsn",
    ],
)
def test_what_is_named_as_a_secret_is_not_written(name: str) -> None:
    """By us or by a library; harmless neighbours are."""
    out = io.StringIO()
    configure_logging(json=True, stream=out)
    structlog.get_logger("x").info("e", **{name: "hush", "monkey": "see", "headers": {name: "hush", "accept": "all"}})
    logging.getLogger("y").warning("e", extra={name: "hush"})
    assert "hush" not in out.getvalue()
    assert (lines(out)[0][name], lines(out)[0]["monkey"]) == ("[redacted]", "see")
    assert lines(out)[0]["headers"] == {name: "[redacted]", "accept": "all"}


def test_people_get_columns() -> None:
    """On a terminal: no JSON, but the same facts."""
    out = io.StringIO()
    configure_logging(json=False, stream=out)
    structlog.get_logger("x").info("hello", token="hush", n=3)  # noqa: S106 - it must not be written
    text = out.getvalue()
    assert "hello" in text
    assert "n=3" in text
    assert "hush" not in text


def event(**changes: Any) -> OperationEvent:
    """Return an event of a good fetch, but for *changes*."""
    good = OperationEvent("fetch", "disk", "ok", failed=False, duration=0.05, error=None, attributes={}, trace_id=None)
    return good._replace(**changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"outcome": "not_found", "error": KeyError("secret")}, []),
        ({"outcome": "timeout", "failed": True, "error": OSError("secret")}, [("operation_failed", "error", "OSError")]),
        ({"duration": 1.5}, [("operation_slow", "warning", None)]),
    ],
)
def test_failed_and_slow_operations_are_logged_without_the_errors_text(
    changes: dict[str, Any], expected: list[tuple[str, str, str | None]]
) -> None:
    """The rest is what metrics are for."""
    sink = LogSink(slow=1.0)
    with capture_logs() as logs:
        sink.finished(event(**changes))
    assert [(line["event"], line["log_level"], line["error"]) for line in logs] == expected
    assert "secret" not in str(logs)


async def test_a_blocked_loop_shows_in_its_lag(registry: CollectorRegistry) -> None:
    """Blocking code delays the timer by its own length; the measurement ends with its context."""
    histogram = Histogram("lag_seconds", "Help.", buckets=(0.02, 1.0), registry=registry)
    async with LoopLag(histogram, period=0.01):
        await asyncio.sleep(0.05)  # a few good measurements
        time.sleep(0.06)  # noqa: ASYNC251 - the fault that is to be seen
        await asyncio.sleep(0.02)  # the late one
    good = registry.get_sample_value("lag_seconds_bucket", {"le": "0.02"}) or 0
    count = registry.get_sample_value("lag_seconds_count") or 0
    assert good >= 1
    assert count > good
    await asyncio.sleep(0.03)  # nothing measures any more
    assert registry.get_sample_value("lag_seconds_count") == count
