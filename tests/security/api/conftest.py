"""Nothing of the environment of whoever runs the tests."""

from __future__ import annotations

import pytest

from lift_store.settings import Settings


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset every variable of the service."""
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.validation_alias), raising=False)
