"""A Supabase project for tests: Supabase Lite over a migrated database, or any project that the environment names."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from lift_store.local.postgres import LocalPostgres
from lift_store.local.supabase import LocalSupabase, install
from lift_store.local.token import mint
from tests.principals import SECRET
from tests.servers import Database, migrated_database

PROGRAMS = Path(sys.prefix) / "lite"
"""Where Lite is installed, once for all tests; ./dev test does it beforehand."""
_ENVIRONMENT = ("LIFT_STORE_TEST_SUPABASE_URL", "LIFT_STORE_TEST_SUPABASE_KEY", "LIFT_STORE_TEST_SUPABASE_JWT_SECRET")


@dataclass(frozen=True)
class SupabaseProject:
    """A project whose database has all migrations."""

    url: str
    key: str
    """The publishable one."""
    jwt_secret: str
    database: Database | None
    """What is behind it; None where the environment names the project."""

    def token(self, user_id: UUID, *, lifetime: timedelta = timedelta(hours=1)) -> str:
        """Return a JWT of *user_id*; with a negative *lifetime* one that has expired."""
        return mint(self.jwt_secret, user_id, lifetime=lifetime)

    def headers(self, user_id: UUID) -> dict[str, str]:
        """Return what a request as *user_id* carries."""
        return {"apikey": self.key, "Authorization": f"Bearer {self.token(user_id)}"}


@contextmanager
def supabase_over(server: LocalPostgres) -> Iterator[SupabaseProject]:
    """Run Lite over a database of its own on *server*; start nothing where the environment names a project."""
    url, key, secret = map(os.environ.get, _ENVIRONMENT)
    if url and key and secret:
        yield SupabaseProject(url, key, secret, None)
        return
    database = migrated_database(server)
    with lite(database) as running:
        yield SupabaseProject(running.url, running.publishable_key, running.jwt_secret, database)


@contextmanager
def lite(database: Database) -> Iterator[LocalSupabase]:
    """Run Lite over *database*, in a folder that is gone afterwards."""
    install(PROGRAMS)
    with (
        tempfile.TemporaryDirectory(prefix="lift-store-supabase-") as folder,
        LocalSupabase(Path(folder), database.admin, programs=PROGRAMS, jwt_secret=SECRET) as running,
    ):
        yield running
