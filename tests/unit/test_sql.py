"""What the SQL of this project never does."""

from __future__ import annotations

import re
from pathlib import Path

MIGRATIONS = Path(__file__).parents[2] / "migrations"
REPEATED = re.compile(r"40001|40P01|serialization_failure|deadlock_detected", re.IGNORECASE)


def test_no_function_raises_what_postgrest_repeats_for_ever() -> None:
    """PostgREST 14 runs a call again and again for as long as it fails with SQLSTATE 40001 or 40P01."""
    files = list(MIGRATIONS.rglob("*.sql"))
    assert len(files) > 10
    assert [file.name for file in files if REPEATED.search(file.read_text("utf-8"))] == []
    assert REPEATED.search("raise serialization_failure using message = 'again'")
