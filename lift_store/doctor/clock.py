"""Whether this machine and the database agree on the time: tokens expire by the one, rows are stamped by the other."""

from __future__ import annotations

from typing import Final

from lift_store.api.auth import LEEWAY
from lift_store.doctor.finding import Finding, fail, ok, warn

TOLERATED: Final = 1.0
"""Seconds; a machine that keeps its clock by NTP is well below."""
_MEND: Final = "let NTP keep both clocks, such as: timedatectl set-ntp true"


def judge(name: str, before: float, database: float, after: float) -> Finding:
    """Return how the database's clock compares; it was read between *before* and *after*, all in seconds since 1970."""
    # it may have been read at any moment in between: half the round trip proves nothing
    offset = database - (before + after) / 2
    certain = max(0.0, abs(offset) - (after - before) / 2)
    found = f"the database is {abs(offset):.3f} s {'ahead' if offset > 0 else 'behind'}"
    if certain > LEEWAY:
        return fail(name, f"{found}, more than the {LEEWAY} s of leeway that tokens get", _MEND)
    return warn(name, found, _MEND) if certain > TOLERATED else ok(name, found)
