"""What a check found: data that the command line prints, as lines or as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How it is. `skip` is not known, and never fine."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what the check *name* found; *mend* says what to do, *sql* the statements that do it, for a superior of the login."""

    name: str
    state: State
    found: str
    mend: str = ""
    sql: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, in the order of the checks."""

    findings: tuple[Finding, ...]

    @property
    def status(self) -> State:
        """The worst: fail, warn, or ok; what was skipped says why itself."""
        states = {finding.state for finding in self.findings}
        return next((state for state in (State.FAIL, State.WARN) if state in states), State.OK)

    def to_json(self) -> dict[str, Any]:
        """Return the report as one JSON document."""
        return {"status": self.status, "checks": [asdict(finding) for finding in self.findings]}


def ok(name: str, found: str) -> Finding:
    """Return that all is well."""
    return Finding(name, State.OK, found)


def warn(name: str, found: str, mend: str, *sql: str) -> Finding:
    """Return what should be mended, but lets the service do its work."""
    return Finding(name, State.WARN, found, mend, sql)


def fail(name: str, found: str, mend: str, *sql: str) -> Finding:
    """Return what keeps the service from working, or from being safe."""
    return Finding(name, State.FAIL, found, mend, sql)


def skip(name: str, why: str) -> Finding:
    """Return that the check could not be made, and why."""
    return Finding(name, State.SKIP, why)
