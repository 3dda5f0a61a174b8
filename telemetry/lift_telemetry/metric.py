"""Metrics as data: what is exported, described once, before anything is measured."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The type of a metric in Prometheus' terms."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Label:
    """A label and the values that it may take; None: bounded by the code that sets it, and absent until it does."""

    name: str
    values: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family. Counters' names end in `_total`, and units are base units; *help* is a full sentence.

    *starts_at_zero*: whether every combination of its labels' values is exported as 0 from the start. False for gauges that report a
    check, timestamps and database-wide values, which are absent until first measured.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    starts_at_zero: bool = True

    def __post_init__(self) -> None:
        if (self.kind is Kind.COUNTER) != self.name.endswith("_total"):
            raise ValueError(f"metric {self.name!r}: counters end in _total, and only they")
        if (self.kind is Kind.HISTOGRAM) != bool(self.buckets):
            raise ValueError(f"metric {self.name!r}: histograms have buckets, and only they")
        if list(self.buckets) != sorted(set(self.buckets)):
            raise ValueError(f"metric {self.name!r}: buckets must rise, got {self.buckets!r}")
