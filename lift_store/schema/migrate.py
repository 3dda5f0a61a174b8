"""Migrations: up, down, and what a database has of them. Ours, and small, since the others hash names or need other drivers.

Each file runs in one transaction with its entry in the ledger, under an advisory lock of that transaction: a runner that dies, however
it dies, leaves neither half a migration nor the lock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, cast

import psycopg
from psycopg.conninfo import make_conninfo

from lift_store.schema.files import Migration, bootstrap, fingerprints, shipped, state_of
from lift_store.schema.pushed import keep_in_step

_LOCK: Final = 0x6C696674  # "lift"; one key for all runners on a database
_LOCK_WAIT: Final = "60s"


class MigrationError(Exception):
    """A migration cannot go on; the message says why and what to do. Nothing of the file at fault was kept."""


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """One migration of this release and its state in a database: `applied`, `pending` or `changed`."""

    version: int
    name: str
    state: str


def status(dsn: str) -> list[MigrationStatus]:
    """Return the state of every migration of this release in the database at *dsn*; changes nothing."""
    with _connected(dsn) as connection:
        ledger = _ledger(connection)
    return [MigrationStatus(m.version, m.name, state_of(m, ledger)) for m in shipped()]


def up(dsn: str, *, to: int | None = None) -> list[str]:
    """Apply what is pending, to version *to* or to the newest, and return the names of what was applied.

    *dsn* names a role that may create schemas and roles; it needs neither superuser nor BYPASSRLS. What psql or the Supabase CLI has
    set up, in full or on top of ours, is adopted first where its fingerprint is that of a version of this release; and what is applied
    is entered into the ledger of `supabase db push` where there is one. Raises MigrationError.
    """
    applied = []
    with _connected(dsn) as connection:
        with _locked(connection):
            connection.execute(bootstrap())
            _adopt(connection)
        while migration := _next(connection, to):
            with _locked(connection):
                if migration.version in _ledger(connection):
                    continue  # another runner was faster
                _run(connection, migration, migration.up)
                _record(connection, migration)
                applied.append(migration.name)
        with _locked(connection):
            keep_in_step(connection, _ledger(connection))
    return applied


def down(dsn: str, *, to: int) -> list[str]:
    """Take the migrations above version *to* back, newest first, and return their names. Drops what they hold. Raises MigrationError."""
    undone = []
    with _connected(dsn) as connection:
        _refuse_changed(connection)
        for migration in reversed([m for m in shipped() if m.version > to]):
            with _locked(connection):
                if migration.version not in _ledger(connection):
                    continue
                connection.execute("delete from lift_private.migrations where version = %s", [migration.version])
                _run(connection, migration, migration.down)
                undone.append(migration.name)
        with _locked(connection):
            keep_in_step(connection, _ledger(connection))
    return undone


def describe(connection: psycopg.Connection) -> list[str]:
    """Return the schema of a database as one line for each thing it is made of, sorted."""
    query = (files("lift_store.schema") / "fingerprint.sql").read_text("utf-8")
    row = connection.execute(query).fetchone()
    return cast("list[str]", row[0]) if row else []


def fingerprint(connection: psycopg.Connection) -> str:
    """Return the SHA-256 of `describe`, as hex."""
    return hashlib.sha256("\n".join(describe(connection)).encode()).hexdigest()


@contextmanager
def _connected(dsn: str) -> Iterator[psycopg.Connection]:
    try:
        with psycopg.connect(make_conninfo(dsn, application_name="lift-store migrate"), autocommit=True) as connection:
            # names in the catalogue's texts, and so the fingerprint, must not depend on the login's settings
            connection.execute("select set_config('search_path', '', false), set_config('client_min_messages', 'warning', false)")
            yield connection
    except psycopg.Error as error:
        raise MigrationError(f"the database refused: {str(error).splitlines()[0]}") from error


@contextmanager
def _locked(connection: psycopg.Connection) -> Iterator[None]:
    with connection.transaction():
        connection.execute("select set_config('lock_timeout', %s, true)", [_LOCK_WAIT])
        connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        yield


def _ledger(connection: psycopg.Connection) -> Mapping[int, str]:
    # looked up by a query: to_regclass may answer from a cache older than the runner that we waited for
    if not _exists(connection, "pg_class where relname = 'migrations' and relnamespace::regnamespace::text = 'lift_private'"):
        return {}
    return dict(connection.execute("select version, sha256 from lift_private.migrations").fetchall())


def _exists(connection: psycopg.Connection, rows: str) -> bool:
    return bool(connection.execute("select from pg_catalog." + rows).rowcount)


def _next(connection: psycopg.Connection, to: int | None) -> Migration | None:
    _refuse_changed(connection)
    ledger = _ledger(connection)
    return next((m for m in shipped() if m.version not in ledger and (to is None or m.version <= to)), None)


def _refuse_changed(connection: psycopg.Connection) -> None:
    ledger = _ledger(connection)
    for migration in shipped():
        if state_of(migration, ledger) == "changed":
            raise MigrationError(
                f"migration {migration.name} was changed after this database had applied it: its checksum is {migration.sha256[:12]}..., "
                f"in the ledger {ledger[migration.version][:12]}...; restore the file and put the change into a migration of its own"
            )
    newer = max(ledger, default=0)
    if newer > shipped()[-1].version:
        raise MigrationError(
            f"the database is at migration {newer}, this release knows {shipped()[-1].version}; use the release that applied it"
        )


def _adopt(connection: psycopg.Connection) -> None:
    """Enter what somebody else's tool applied into the ledger, if the schema is exactly that of one of our versions."""
    if not _exists(connection, "pg_namespace where nspname = 'lift'"):
        return
    ledger, version = _ledger(connection), fingerprints().get(fingerprint(connection), 0)
    if not ledger and not version:
        raise MigrationError(
            "there is a schema lift that no ledger speaks of, and it is not that of any migration of this release; "
            "compare it with migrations/ and mend it by hand, or move it out of the way"
        )
    for migration in shipped()[:version]:
        if migration.version not in ledger:
            _record(connection, migration)


def _run(connection: psycopg.Connection, migration: Migration, text: str) -> None:
    try:
        connection.execute(text)
    except psycopg.Error as error:
        raise MigrationError(f"migration {migration.name} failed: {str(error).splitlines()[0]}; nothing of it was kept") from error


def _record(connection: psycopg.Connection, migration: Migration) -> None:
    connection.execute(
        "insert into lift_private.migrations (version, name, sha256) values (%s, %s, %s)",
        [migration.version, migration.name, migration.sha256],
    )
