"""Whether the operator looks at the database that the users write to."""

from __future__ import annotations

from lift_store.doctor.connection import Connection, rows
from lift_store.doctor.finding import Finding, fail, ok
from lift_store.doctor.subject import Look


async def database(look: Look, users: Connection) -> list[Finding]:
    """Check that both logins lead to one database, or to a standby of it."""
    ours, theirs = await _identity(look.connection), await _identity(users)
    if ours == theirs:
        return [ok(look.name, f"{ours['name']}, as DATABASE_URL")]
    found = f"{ours['name']} is another database than {theirs['name']} of DATABASE_URL"
    return [fail(look.name, found, f"name the database of DATABASE_URL in {look.login.variable}")]


async def _identity(connection: Connection) -> dict[str, object]:
    # a standby has the numbers of its primary
    [row] = await rows(
        connection,
        """
        select d.datname::text as name, d.oid as database, (select oid from pg_catalog.pg_namespace where nspname = 'lift') as schema
        from pg_catalog.pg_database d where d.datname = current_database()
        """,
    )
    return row
