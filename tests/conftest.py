"""Fixtures that every test may use."""

from __future__ import annotations

from uuid import uuid4

import pytest
from lift_store import Principal


@pytest.fixture
def alice() -> Principal:
    """A user of this test's own."""
    return Principal(uuid4())


@pytest.fixture
def bob() -> Principal:
    """Another user."""
    return Principal(uuid4())
