"""Findings and the report that they make."""

from __future__ import annotations

import json

import pytest

from lift_store.doctor import Finding, Report, State
from lift_store.doctor.finding import fail, ok, skip, warn

OK, WARN, FAIL, SKIP = ok("a", "well"), warn("b", "odd", "do this"), fail("c", "bad", "do that", "alter;"), skip("d", "not configured")


@pytest.mark.parametrize(
    ("findings", "status"),
    [
        ((), State.OK),
        ((OK, SKIP), State.OK),
        ((OK, WARN, SKIP), State.WARN),
        ((WARN, FAIL, OK), State.FAIL),
    ],
)
def test_the_worst_decides(findings: tuple[Finding, ...], status: State) -> None:
    """What was skipped is neither good nor bad."""
    assert Report(findings).status is status


def test_json_has_every_finding_in_order() -> None:
    """With plain values only."""
    document = json.loads(json.dumps(Report((OK, FAIL)).to_json()))
    assert document == {
        "status": "fail",
        "checks": [
            {"name": "a", "state": "ok", "found": "well", "mend": "", "sql": []},
            {"name": "c", "state": "fail", "found": "bad", "mend": "do that", "sql": ["alter;"]},
        ],
    }
