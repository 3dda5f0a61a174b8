"""What a run measured: counts, rates and percentiles of each operation, beside its objective."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from statistics import quantiles
from typing import Any

from rich.table import Table

from lift_store.catalog import LATENCY_OBJECTIVES
from lift_store.protocol import Operation


@dataclass
class Tally:
    """What is noted of each operation while the run goes on: seconds of the successful ones, reasons of the others."""

    latencies: dict[Operation, list[float]] = field(default_factory=lambda: {operation: [] for operation in Operation})
    failures: dict[Operation, Counter[str]] = field(default_factory=lambda: {operation: Counter() for operation in Operation})
    sessions: Counter[str] = field(default_factory=Counter)

    @property
    def operations(self) -> int:
        """Operations so far, failed ones included."""
        return sum(map(len, self.latencies.values())) + sum(c.total() for c in self.failures.values())


@dataclass(frozen=True, slots=True)
class Row:
    """One operation: times in milliseconds, rate a second; *met* is None for one without an objective."""

    operation: str
    count: int
    rate: float
    failures: int
    p50: float
    p95: float
    p99: float
    objective: float | None
    met: bool | None


@dataclass(frozen=True, slots=True)
class LoadReport:
    """The whole run. *reasons* says why operations failed, and how often."""

    seconds: float
    rows: tuple[Row, ...]
    sessions: dict[str, int]
    reasons: dict[str, int]

    @property
    def ok(self) -> bool:
        """Whether something was done, no operation failed, and every objective was met."""
        return bool(self.rows) and all(row.failures == 0 and row.met is not False for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return asdict(self) | {"ok": self.ok}

    def table(self) -> Table:
        """Return the report for a terminal."""
        sessions = ", ".join(f"{count} {what}" for what, count in self.sessions.items()) or "none"
        reasons = "".join(f"\n{count} x {reason}" for reason, count in self.reasons.items())
        table = Table(title=f"{self.seconds:.0f} s of work", caption=f"Sessions: {sessions}{reasons}", caption_justify="left")
        table.add_column("operation", no_wrap=True)
        for name in ("count", "per s", "failed", "p50 ms", "p95 ms", "p99 ms", "99 % under, ms"):
            table.add_column(name, justify="right")
        for row in self.rows:
            table.add_row(row.operation, *_cells(row))
        return table


def _cells(row: Row) -> list[str]:
    failed = f"[red]{row.failures}" if row.failures else "0"
    objective = "" if row.objective is None else f"{row.objective:.0f} {'[green]met' if row.met else '[red]missed'}"
    times = (f"{time:.1f}" for time in (row.p50, row.p95, row.p99))
    return [str(row.count), f"{row.rate:.1f}", failed, *times, objective]


def summarise(tally: Tally, seconds: float) -> LoadReport:
    """Return the report of what was noted in *seconds*; operations that were never tried have no row."""
    rows = (_row(operation, tally.latencies[operation], tally.failures[operation], seconds) for operation in Operation)
    reasons = Counter({f"{operation}: {reason}": n for operation, c in tally.failures.items() for reason, n in c.items()})
    return LoadReport(seconds, tuple(row for row in rows if row.count), dict(tally.sessions), dict(reasons.most_common(10)))


def _row(operation: Operation, latencies: list[float], failures: Counter[str], seconds: float) -> Row:
    failed = failures.total()
    objective = next((o for o in LATENCY_OBJECTIVES if o.operation == operation), None)
    within = sum(latency < objective.threshold for latency in latencies) if objective else 0
    count = len(latencies) + failed
    return Row(
        operation=operation,
        count=count,
        rate=count / seconds,
        failures=failed,
        p50=_percentile(latencies, 50),
        p95=_percentile(latencies, 95),
        p99=_percentile(latencies, 99),
        objective=objective.threshold * 1000 if objective else None,
        met=within >= objective.target * len(latencies) if objective else None,
    )


def _percentile(latencies: list[float], percent: int) -> float:
    """Return a percentile in milliseconds; 0 without any latency."""
    if not latencies:
        return 0.0
    return quantiles(latencies if len(latencies) > 1 else latencies * 2, n=100, method="inclusive")[percent - 1] * 1000
