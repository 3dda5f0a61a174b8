"""What this instance says of itself: is it alive, should it get traffic, is the service well."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import structlog

from lift_store.errors import FailureError, InternalError, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from lift_store.api.jwks import KeySet

CACHED: Final = 2.0
"""Seconds that a result answers everybody; probes of many load balancers then cost one query."""
PATIENCE: Final = 0.5
"""Seconds that a probe waits for a new result where there is an older one."""
WATCH_EVERY: Final = 10.0

_log = structlog.get_logger("lift_store.api.health")


class Status(StrEnum):
    """The status words of application/health+json."""

    PASS = "pass"  # noqa: S105 - no password
    WARN = "warn"
    FAIL = "fail"

    @property
    def value_of_gauge(self) -> float:
        """What lift_store_health shows."""
        return {Status.PASS: 1.0, Status.WARN: 0.5, Status.FAIL: 0.0}[self]


class Phase(StrEnum):
    """Where this instance is in its life."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found. *own*: the fault is this instance's, so that another one may do better."""

    status: Status
    output: str = ""
    own: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """All checks at one moment."""

    checks: Mapping[str, Result]
    time: float = field(default_factory=time.time)

    @property
    def status(self) -> Status:
        """The worst of the checks."""
        found = {result.status for result in self.checks.values()}
        return next((status for status in (Status.FAIL, Status.WARN) if status in found), Status.PASS)

    @property
    def own_fault(self) -> str | None:
        """Which check failed for this instance's own reasons, and why."""
        faults = (f"{n}: {r.output}" for n, r in self.checks.items() if r.own and r.status is Status.FAIL)
        return next(faults, None)


class Health:
    """Runs *checks* bounded, once for all who ask at the same time, and at most every *cached* seconds.

    *publish* is told each result by the check's name; *timeout* bounds each check, in seconds.
    """

    def __init__(
        self,
        checks: Mapping[str, Callable[[], Awaitable[Result]]],
        *,
        timeout: float = 2.0,
        cached: float = CACHED,
        publish: Callable[[str, float], None] = lambda _name, _value: None,
    ) -> None:
        self.phase = Phase.STARTING
        self._checks = checks
        self._timeout = timeout
        self._cached = cached
        self._publish = publish
        self._last: tuple[float, Report] | None = None
        self._flight: asyncio.Task[Report] | None = None

    async def report(self) -> Report:
        """Return the present state, at most *cached* seconds old; the one before, where a check is slow."""
        last = self._last
        if last and time.monotonic() - last[0] < self._cached:
            return last[1]
        flight = self._running()
        if last:
            # orchestrators give a probe a second: an answer too late would turn a dead database into a dead instance
            await asyncio.wait({flight}, timeout=PATIENCE)
            return flight.result() if flight.done() else last[1]
        # shielded: a probe that hangs up must not cancel what others wait for
        return await asyncio.shield(flight)

    def _running(self) -> asyncio.Task[Report]:
        if self._flight is None:
            self._flight = asyncio.create_task(self._run(), name="health")
            self._flight.add_done_callback(self._landed)
        return self._flight

    async def readiness(self) -> tuple[Status, str]:
        """Return whether to send traffic here: fail for this instance's own reasons only, warn for shared ones."""
        if self.phase is not Phase.SERVING:
            return Status.FAIL, self.phase.value
        report = await self.report()
        if report.own_fault:
            return Status.FAIL, report.own_fault
        return (Status.PASS, "") if report.status is Status.PASS else (Status.WARN, "")

    async def watch(self, every: float = WATCH_EVERY) -> None:
        """Check for as long as the service runs, so that the gauges are true even if nobody probes."""
        while True:
            await self.report()
            await asyncio.sleep(every)

    def _landed(self, _: asyncio.Task[Report]) -> None:
        self._flight = None

    async def _run(self) -> Report:
        results = await asyncio.gather(*(self._one(name) for name in self._checks))
        report = Report(dict(zip(self._checks, results, strict=True)))
        self._last = (time.monotonic(), report)
        return report

    async def _one(self, name: str) -> Result:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout):
                found = await self._checks[name]()
        except TimeoutError:
            found = Result(Status.FAIL, f"no answer within {self._timeout:g} s")
        except Exception as error:  # noqa: BLE001 - a check that breaks is a failed check, not a failed probe
            _log.warning("health_check_broke", check=name, error=type(error).__name__)
            found = Result(Status.FAIL, "the check itself failed")
        self._publish(name, found.status.value_of_gauge)
        return Result(found.status, found.output, found.own, time.perf_counter() - started)


def database_check(ping: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[Result]]:
    """Check that the backend answers; a refusal that our configuration causes is this instance's own."""

    async def check() -> Result:
        try:
            await ping()
        except StoreError as error:
            return Result(Status.FAIL, str(error), own=isinstance(error, InternalError))
        return Result(Status.PASS)

    return check


def schema_check(schema_state: Callable[[], Awaitable[Any]], publish: Callable[[str, float], None]) -> Callable[[], Awaitable[Result]]:
    """Check that the database has this release's migrations; *publish* is told the count of each state."""

    async def check() -> Result:
        try:
            state = await schema_state()
        except InternalError as error:
            return Result(Status.FAIL, str(error), own=True)
        except FailureError:
            return Result(Status.WARN, "not known while the database does not answer")
        for name in ("applied", "pending", "changed"):
            publish(name, getattr(state, name))
        if state.pending:
            return Result(Status.FAIL, f"{state.pending} migrations are pending; run: lift-store migrate up", own=True)
        if state.changed:
            return Result(Status.WARN, f"{state.changed} applied migrations differ from this release's")
        return Result(Status.PASS)

    return check


def keys_check(keys: KeySet) -> Callable[[], Awaitable[Result]]:
    """Check that tokens can be checked; keys that an outage keeps from being refreshed still serve."""

    async def check() -> Result:
        if not keys.has_keys:
            return Result(Status.FAIL, "no keys to check tokens with")
        if not keys.is_fresh:
            return Result(Status.WARN, "the keys could not be refreshed; those of the last success serve")
        return Result(Status.PASS)

    return check
