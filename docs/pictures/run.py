"""One run of the real thing: work as of many users, some of it while another session holds locks; and what Prometheus saw."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode
from urllib.request import urlopen

import psycopg

from docs.pictures.terminal import Terminal
from lift_store.catalog import OPERATION_DURATION
from lift_store.local.postgres import LocalPostgres

UP: Final = "lift-store up --data-dir data"
LOAD: Final = "lift-store loadgen --users 20 --duration 60s --data-dir data"
LOCKED: Final = 25.0, 40.0
"""Seconds of the second load between which the table is locked, again and again."""
SCRAPE: Final = 5
WINDOW: Final = 20
_P95: Final = f"histogram_quantile(0.95, sum by (le, operation) (rate({OPERATION_DURATION.name}_bucket[{WINDOW}s])))"
_RATE: Final = f"sum by (operation) (rate({OPERATION_DURATION.name}_count[{WINDOW}s]))"
_LOCK: Final = "begin; lock table lift.sessions in access exclusive mode; select pg_sleep(0.7); commit; select pg_sleep(0.1)"

Series = dict[str, list[tuple[float, float]]]
"""By operation: times and values."""


@dataclass(frozen=True, slots=True)
class Run:
    """What could be seen in two terminals, and series. Times are in seconds since the load began."""

    up: str
    load: str
    locked: tuple[float, float]
    p95: Series
    rate: Series


def record() -> Run:
    """Run it all in a temporary folder."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o711)  # the database's account must pass
        with Terminal(UP, folder) as up:
            banner = up.until("the data stays.")
            time.sleep(2 * SCRAPE)  # the zeros must have been seen, or the first operations are no increase
            began = time.time()
            with Terminal(LOAD, folder) as first:
                report = first.end()
            locked = _disturbed(folder, began)
            p95, rate = (_series(query, began, time.time()) for query in (_P95, _RATE))
    return Run(banner, report, locked, p95, rate)


def _disturbed(folder: Path, began: float) -> tuple[float, float]:
    """Put the same load on again, and lock the table meanwhile; return from when to when."""
    with Terminal(LOAD, folder) as load, psycopg.connect(_superuser(folder), autocommit=True) as connection:
        start = time.time()
        time.sleep(LOCKED[0])
        since = time.time()
        while time.time() < start + LOCKED[1]:
            connection.execute(_LOCK)
        until = time.time()
        load.end()
    return round(since - began, 1), round(until - began, 1)


def _superuser(folder: Path) -> str:
    server = folder / "data" / "postgres"
    stopped = LocalPostgres(server)  # of which only the address is wanted: the server is that of `up`
    stopped.port = int((server / "postgresql" / "postmaster.pid").read_text("utf-8").splitlines()[3])
    return stopped.dsn("postgres", "lift")


def _series(query: str, began: float, ended: float) -> Series:
    asked = urlencode({"query": query, "start": began, "end": ended, "step": SCRAPE})
    with urlopen(f"http://127.0.0.1:9090/api/v1/query_range?{asked}", timeout=10) as answer:
        found = json.load(answer)["data"]["result"]
    return {
        line["metric"]["operation"]: [(round(at - began, 1), round(float(value), 5)) for at, value in line["values"] if value != "NaN"]
        for line in sorted(found, key=lambda line: str(line["metric"]))
    }
