"""The ledger of `supabase db push`, kept in step with ours, so that either tool finds done what the other has done."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import psycopg

from lift_store.schema.files import shipped

_WRITABLE: Final = """
  select has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
    and has_table_privilege(c.oid, 'insert') and has_table_privilege(c.oid, 'delete')
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'supabase_migrations' and c.relname = 'schema_migrations'
"""
_CREATE: Final = """
  create schema if not exists supabase_migrations;
  create table if not exists supabase_migrations.schema_migrations (version text not null primary key, statements text[], name text);
"""  # as the Supabase CLI makes them with its first push
_ENTER: Final = """
  insert into supabase_migrations.schema_migrations (version, name, statements) values (%s, %s, array[%s]) on conflict do nothing
"""
_STRIKE: Final = "delete from supabase_migrations.schema_migrations where version = %s and name = %s"


def keep_in_step(connection: psycopg.Connection, applied: Collection[int]) -> None:
    """Enter the versions *applied* into that ledger and strike our others, where the database is Supabase's or the CLI has been there.

    Where the ledger is somebody else's, it is left alone.
    """
    if not _has_ledger(connection):
        return
    for migration in shipped():
        version, _, name = migration.name.partition("_")
        if migration.version in applied:
            connection.execute(_ENTER, [version, name, migration.up])
        else:
            connection.execute(_STRIKE, [version, name])


def _has_ledger(connection: psycopg.Connection) -> bool:
    if connection.execute("select from pg_catalog.pg_roles where rolname = 'supabase_admin'").rowcount:
        connection.execute(_CREATE)
    return connection.execute(_WRITABLE).fetchone() == (True,)
