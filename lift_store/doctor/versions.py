"""Versions of PostgreSQL that break row-level security, or that nobody mends any more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from lift_store.doctor.finding import Finding, State, fail, ok, warn

OLDEST: Final = 15
"""The oldest major version that this project's tests run on; views need its security_invoker."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A published fault of row-level security: *fixed* says by which minor version of each major, others never had it."""

    cve: str
    about: str
    fixed: Mapping[int, int]
    state: State = State.FAIL

    @property
    def source(self) -> str:
        """Where PostgreSQL itself describes it."""
        return f"https://www.postgresql.org/support/security/{self.cve}/"


FAULTS: Final = (
    Fault("CVE-2023-2455", "row security disregards a change of role after inlining", {15: 3}),
    Fault("CVE-2023-39418", "MERGE does not enforce row security of UPDATE and SELECT", {15: 4}),
    Fault("CVE-2024-10976", "row security below subqueries disregards a change of role", {15: 9, 16: 5, 17: 1}),
    Fault("CVE-2024-10978", "SET ROLE can reset to a wrong role", {15: 9, 16: 5, 17: 1}),
    # reaches sampled values of partitions and views only, and lift has no partitions
    Fault("CVE-2025-8713", "statistics of the optimizer show sampled values of hidden rows", {15: 14, 16: 10, 17: 6}, State.WARN),
)
SUPPORT_ENDS: Final = {15: date(2027, 11, 11), 16: date(2028, 11, 9), 17: date(2029, 11, 8), 18: date(2030, 11, 14)}
"""From https://www.postgresql.org/support/versioning/; later versions live longer than these."""


def judge(name: str, number: int, today: date) -> list[Finding]:
    """Return what is known of the server whose server_version_num is *number*."""
    major, minor = divmod(number, 10_000)
    version = f"PostgreSQL {major}.{minor}"
    if major < OLDEST:
        return [fail(name, f"{version} is older than this project supports", f"upgrade to PostgreSQL {max(SUPPORT_ENDS)}")]
    findings = [
        Finding(
            name,
            fault.state,
            f"{version} has {fault.cve}: {fault.about}",
            f"upgrade to {major}.{fault.fixed[major]} or newer; {fault.source}",
        )
        for fault in FAULTS
        if minor < fault.fixed.get(major, 0)
    ]
    end = SUPPORT_ENDS.get(major, date.max)
    if today > end:
        findings.append(warn(name, f"{version} gets no fixes since {end}", f"upgrade to PostgreSQL {max(SUPPORT_ENDS)}"))
    return findings or [ok(name, f"{version} has no known fault of row-level security")]
