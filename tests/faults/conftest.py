"""A server of this folder's own, since its tests break it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from lift_store.local.postgres import LocalPostgres
from tests.faults.service import Caller, caller
from tests.servers import Database, migrated_database
from tests.service import ready

_SETTINGS = {
    "synchronous_commit": "on",  # what is acknowledged outlives a crash of the server, though not of the machine
    "max_connections": "30",  # few enough to take all
}


@pytest.fixture(scope="package")
def fragile() -> Iterator[LocalPostgres]:
    """Give a server that may be broken; each test leaves it running."""
    with LocalPostgres.temporary(settings=_SETTINGS) as server:
        yield server


@pytest.fixture(scope="package")
def fragile_database(fragile: LocalPostgres) -> Database:
    """Give a migrated database on it."""
    return migrated_database(fragile)


@pytest.fixture
async def alice_calls(tmp_path: Path, fragile_database: Database) -> AsyncIterator[Caller]:
    """Give a user's client of a service that is up and well."""
    async with caller(tmp_path, fragile_database) as made:
        await ready(made.running)
        await made.create()
        yield made
