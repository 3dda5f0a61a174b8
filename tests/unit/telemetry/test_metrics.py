"""Metrics as data, made live: series at zero, bounded labels, exemplars, pools, exposition."""

from __future__ import annotations

import asyncio
import gzip
from time import perf_counter

import pytest
from prometheus_client import CollectorRegistry, Counter

from lift_telemetry import Instruments, Kind, Label, Metric, OperationEvent, PoolCollector, PoolSnapshot
from lift_telemetry.exposition import render
from tests.unit.telemetry.demo import CATALOG, DURATION, LATER, OPEN, TOTAL, prometheus_on

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


def series(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every series and its value."""
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in registry.collect() for s in family.samples}


def event(**changes: object) -> OperationEvent:
    """Return an event of a good fetch, but for *changes*."""
    good = OperationEvent("fetch", "disk", "ok", failed=False, duration=0.05, error=None, attributes={}, trace_id=None)
    return good._replace(**changes)  # type: ignore[arg-type]  # names are checked at run time


@pytest.mark.parametrize(
    ("name", "kind", "buckets", "complaint"),
    [
        ("demo", Kind.COUNTER, (), "counters end in _total"),
        ("demo_total", Kind.GAUGE, (), "counters end in _total"),
        ("demo_seconds", Kind.HISTOGRAM, (), "histograms have buckets"),
        ("demo", Kind.GAUGE, (1.0,), "histograms have buckets"),
        ("demo_seconds", Kind.HISTOGRAM, (1.0, 0.5), "buckets must rise"),
        ("demo_seconds", Kind.HISTOGRAM, (1.0, 1.0), "buckets must rise"),
    ],
)
def test_a_metric_that_breaks_the_conventions_cannot_be_described(
    name: str, kind: Kind, buckets: tuple[float, ...], complaint: str
) -> None:
    """The mistake is named where the metric is written down."""
    with pytest.raises(ValueError, match=complaint):
        Metric(name, kind, "Help.", (), buckets)


def test_every_fixed_series_is_there_at_zero_before_any_traffic(registry: CollectorRegistry) -> None:
    """Histograms of 3 bounds have 6 series each; open labels and later gauges have none; no creation times."""
    prometheus_on(registry)
    assert len(series(registry)) == 4 * 6 + 8 + 2 + 4
    assert set(series(registry).values()) == {0.0}


def test_traffic_of_known_labels_adds_no_series(registry: CollectorRegistry) -> None:
    """Values change, the set of series does not."""
    sink = prometheus_on(registry)
    before = series(registry).keys()
    sink.finished(event())
    assert series(registry).keys() == before


def test_an_event_is_counted_and_timed(registry: CollectorRegistry) -> None:
    """Any outcome but ok is result=error."""
    sink = prometheus_on(registry)
    sink.finished(event(outcome="missing", duration=0.05))
    labels = {"backend": "disk", "operation": "fetch"}
    assert registry.get_sample_value("demo_total", {**labels, "outcome": "missing"}) == 1
    assert registry.get_sample_value("demo_seconds_bucket", {**labels, "result": "error", "le": "0.01"}) == 0
    assert registry.get_sample_value("demo_seconds_bucket", {**labels, "result": "error", "le": "0.1"}) == 1
    assert registry.get_sample_value("demo_seconds_count", {**labels, "result": "ok"}) == 0


def test_a_denial_is_counted_by_its_kind(registry: CollectorRegistry) -> None:
    """Where the body noted one."""
    prometheus_on(registry).finished(event(outcome="broken", attributes={"denial_kind": "wall"}))
    assert registry.get_sample_value("demo_denials_total", {"operation": "fetch", "kind": "wall"}) == 1


async def test_an_exemplar_names_the_trace_in_openmetrics_only(registry: CollectorRegistry) -> None:
    """And only events with a trace have one."""
    sink = prometheus_on(registry)
    sink.finished(event())
    assert b"trace_id" not in (await render(registry, OPENMETRICS, None))[0]
    sink.finished(event(trace_id="a" * 32))
    assert b'# {trace_id="' + b"a" * 32 in (await render(registry, OPENMETRICS, None))[0]
    assert b"trace_id" not in (await render(registry, None, None))[0]


def test_a_series_is_made_once_and_bounded(registry: CollectorRegistry) -> None:
    """An unknown metric, a value that the metric does not list, or one label too few is an error that names it."""
    instruments = Instruments(CATALOG, registry, fixed={"backend": ("disk",)}, collected=frozenset({LATER.name}))
    assert instruments.child(OPEN, "/a") is instruments.child(OPEN, "/a")
    with pytest.raises(KeyError, match="demo_checked"):
        instruments.child(LATER, "a")
    with pytest.raises(ValueError, match="label 'backend' is one of disk, not 'net'"):
        instruments.child(TOTAL, "net", "fetch", "ok")
    with pytest.raises(ValueError, match="has 3 labels, got 1"):
        instruments.child(DURATION, "disk")


def test_a_gauge_of_a_check_is_absent_until_it_is_measured(registry: CollectorRegistry) -> None:
    """Then it is there."""
    instruments = Instruments([LATER], registry)
    assert series(registry) == {}
    instruments.child(LATER, "a").set(0.5)
    assert list(series(registry).values()) == [0.5]


def test_one_without_labels_is_absent_until_then_too(registry: CollectorRegistry) -> None:
    """A database-wide figure that is born at 0 would look like a rise when it is first read."""
    metric = Metric("demo_isolated", Kind.GAUGE, "Known later.", starts_at_zero=False)
    instruments = Instruments([metric], registry)
    assert series(registry) == {}
    instruments.child(metric).set(1)
    instruments.child(metric).set(2)
    assert series(registry) == {("demo_isolated", ()): 2}


def pools() -> PoolCollector:
    """Return a collector with the metrics of a demonstration."""
    label = (Label("pool"),)
    gauge = [Metric(name, Kind.GAUGE, "Help.", label) for name in ("pool_connections", "pool_max", "pool_pending")]
    counter = [Metric(name, Kind.COUNTER, "Help.", label) for name in ("pool_timeouts_total", "pool_opened_total", "pool_errors_total")]
    return PoolCollector(connections=gauge[0], max=gauge[1], pending=gauge[2], timeouts=counter[0], opened=counter[1], errors=counter[2])


SNAPSHOT = PoolSnapshot(name="main", max=10, idle=1, in_use=2, connecting=3, pending=4, timeouts=5, opened=6, errors=7)


def test_a_pool_is_read_at_the_scrape(registry: CollectorRegistry) -> None:
    """Every figure of its snapshot, as it is then; a pool that was removed has no series."""
    collector = pools()
    registry.register(collector)
    assert series(registry) == {}
    collector.add(read := lambda: SNAPSHOT)
    assert {name: value for (name, labels), value in series(registry).items() if dict(labels).keys() == {"pool"}} == {
        "pool_max": 10,
        "pool_pending": 4,
        "pool_timeouts_total": 5,
        "pool_opened_total": 6,
        "pool_errors_total": 7,
    }
    states = {dict(labels).get("state"): value for (name, labels), value in series(registry).items() if name == "pool_connections"}
    assert states == {"idle": 1, "in_use": 2, "connecting": 3}
    collector.remove(read)
    assert series(registry) == {}


def test_a_pool_that_cannot_be_read_does_not_end_the_scrape(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    """The others are still there, and registering it read nothing."""
    collector = pools()

    def broken() -> PoolSnapshot:
        raise OSError

    collector.add(broken)
    collector.add(lambda: SNAPSHOT)
    registry.register(collector)
    assert not caplog.records
    assert registry.get_sample_value("pool_max", {"pool": "main"}) == 10
    assert "could not be read" in caplog.text


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4"),
        ("application/openmetrics-text;version=0.0.1,text/plain", "text/plain; version=0.0.4"),
        (f"{OPENMETRICS};q=0.5,text/plain;version=0.0.4;q=0.3", "application/openmetrics-text; version=1.0.0"),
        ("text/plain;q=0.3," + OPENMETRICS, "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text;version=2.0.0", "application/openmetrics-text; version=2.0.0"),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", "text/plain; version=1.0.0"),
        ("application/vnd.google.protobuf;encoding=delimited", "text/plain; version=0.0.4"),
        (f"application/vnd.google.protobuf,{OPENMETRICS};q=0.8,text/plain;q=0.5", "application/openmetrics-text; version=1.0.0"),
        (f"{OPENMETRICS};escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;q=0.4", "application/openmetrics-text; version=1.0.0"),
    ],
)
async def test_the_format_is_the_one_asked_for(registry: CollectorRegistry, accept: str | None, content_type: str) -> None:
    """Plain text for whoever does not say OpenMetrics."""
    _, headers = await render(registry, accept, None)
    assert headers["Content-Type"].startswith(content_type)


@pytest.mark.parametrize(
    ("accept_encoding", "zipped"),
    [(None, False), ("gzip", True), ("br, GZIP;q=0.8", True), ("gzip;q=0", False), ("gzip; q=0.0", False), ("identity", False)],
)
async def test_gzip_is_used_where_it_is_taken(registry: CollectorRegistry, accept_encoding: str | None, zipped: bool) -> None:
    """And the text is the same."""
    prometheus_on(registry)
    body, headers = await render(registry, None, accept_encoding)
    assert ("Content-Encoding" in headers) is zipped
    assert b"demo_total" in (gzip.decompress(body) if zipped else body)


async def test_a_scrape_may_name_the_series_it_wants(registry: CollectorRegistry) -> None:
    """Only those come."""
    prometheus_on(registry)
    body, _ = await render(registry, None, None, ["demo_in_flight"])
    assert b"demo_in_flight" in body
    assert b"demo_total" not in body


async def test_rendering_does_not_hold_up_the_event_loop(registry: CollectorRegistry) -> None:
    """A timer beside the rendering of 20,000 series is late by a small part of the time that the rendering takes."""
    counter = Counter("big_total", "Help.", ["n"], registry=registry)
    for n in range(20_000):
        counter.labels(str(n)).inc()
    lags, done = [], asyncio.Event()

    async def watch() -> None:
        while not done.is_set():
            due = perf_counter() + 0.005
            await asyncio.sleep(0.005)
            lags.append(perf_counter() - due)

    watching = asyncio.create_task(watch())
    started = perf_counter()
    await render(registry, None, None)
    took = perf_counter() - started
    done.set()
    await watching
    assert len(lags) > 2
    assert max(lags) < took / 2
