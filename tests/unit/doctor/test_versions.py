"""What is known of each version of PostgreSQL."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from lift_store.doctor import State
from lift_store.doctor.versions import FAULTS, OLDEST, SUPPORT_ENDS, judge

TODAY = date(2026, 1, 1)


def cves(number: int) -> set[str]:
    """Return the faults that are found in a version."""
    findings = judge("version", number, TODAY)
    return {fault.cve for fault in FAULTS for finding in findings if fault.cve in finding.found}


@pytest.mark.parametrize(
    ("number", "faults"),
    [
        (150002, {"CVE-2023-2455", "CVE-2023-39418", "CVE-2024-10976", "CVE-2024-10978", "CVE-2025-8713"}),
        (150003, {"CVE-2023-39418", "CVE-2024-10976", "CVE-2024-10978", "CVE-2025-8713"}),
        (150008, {"CVE-2024-10976", "CVE-2024-10978", "CVE-2025-8713"}),
        (150009, {"CVE-2025-8713"}),
        (150014, set()),
        (160004, {"CVE-2024-10976", "CVE-2024-10978", "CVE-2025-8713"}),
        (160010, set()),
        (170000, {"CVE-2024-10976", "CVE-2024-10978", "CVE-2025-8713"}),
        (170005, {"CVE-2025-8713"}),
        (170006, set()),
        (180000, set()),
        (190000, set()),
    ],
)
def test_a_version_has_the_faults_that_later_ones_mend(number: int, faults: set[str]) -> None:
    """The minor version in which each was mended is without it."""
    assert cves(number) == faults


def test_a_fault_says_what_to_upgrade_to_and_who_says_so() -> None:
    """In the same major version."""
    finding = next(finding for finding in judge("version", 160004, TODAY) if "CVE-2024-10976" in finding.found)
    assert finding.state is State.FAIL
    assert "upgrade to 16.5 or newer" in finding.mend
    assert "https://www.postgresql.org/support/security/CVE-2024-10976/" in finding.mend


def test_a_fault_that_does_not_reach_us_warns() -> None:
    """The service may run."""
    assert [finding.state for finding in judge("version", 170005, TODAY)] == [State.WARN]


def test_a_sound_version_is_ok() -> None:
    """One finding, with the name of the check."""
    [finding] = judge("any", 180001, TODAY)
    assert (finding.name, finding.state) == ("any", State.OK)
    assert "18.1" in finding.found


def test_an_old_version_fails() -> None:
    """One that this project does not run on."""
    [finding] = judge("version", 140020, TODAY)
    assert finding.state is State.FAIL


@pytest.mark.parametrize("major", sorted(SUPPORT_ENDS))
def test_a_version_without_fixes_warns(major: int) -> None:
    """From the day after its end."""
    number, end = major * 10_000 + 99, SUPPORT_ENDS[major]
    assert [finding.state for finding in judge("version", number, end)] == [State.OK]
    assert [finding.state for finding in judge("version", number, end + timedelta(days=1))] == [State.WARN]


def test_the_tables_are_in_step() -> None:
    """Each version that may have a fault is one that may run, and has an end."""
    majors = {major for fault in FAULTS for major in fault.fixed}
    assert majors <= set(SUPPORT_ENDS)
    assert min(SUPPORT_ENDS) == OLDEST
