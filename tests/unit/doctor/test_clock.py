"""Two clocks, and what a round trip leaves unknown."""

from __future__ import annotations

import pytest

from lift_store.api.auth import LEEWAY
from lift_store.doctor import State
from lift_store.doctor.clock import judge


@pytest.mark.parametrize(
    ("before", "database", "after", "state"),
    [
        (100.0, 100.0, 100.0, State.OK),
        (100.0, 100.9, 100.0, State.OK),
        (100.0, 102.0, 100.0, State.WARN),
        (100.0, 98.0, 100.0, State.WARN),
        (100.0, 100.0 + LEEWAY + 1, 100.0, State.FAIL),
        (100.0, 100.0 - LEEWAY - 1, 100.0, State.FAIL),
        (100.0, 104.0, 104.0, State.OK),  # a slow answer: it may have been read as it came back
        (100.0, 100.0, 104.0, State.OK),
        (100.0, 107.0, 104.0, State.WARN),
        (100.0, 103.0 + LEEWAY, 104.0, State.WARN),
    ],
)
def test_only_what_is_certain_counts(before: float, database: float, after: float, state: State) -> None:
    """A difference beyond a second warns, one beyond the leeway of tokens fails."""
    finding = judge("clock", before, database, after)
    assert (finding.name, finding.state) == ("clock", state)


@pytest.mark.parametrize(("database", "says"), [(110.0, "10.000 s ahead"), (90.0, "10.000 s behind")])
def test_it_says_who_is_ahead(database: float, says: str) -> None:
    """And by how much."""
    finding = judge("clock", 100.0, database, 100.0)
    assert says in finding.found
    assert "NTP" in finding.mend
