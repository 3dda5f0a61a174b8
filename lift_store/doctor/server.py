"""The server that answers: who it is, what its version is known for, whether it lets anybody write."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from lift_store.doctor import clock, versions
from lift_store.doctor.connection import Target, is_local
from lift_store.doctor.finding import Finding, fail, ok, warn
from lift_store.doctor.subject import Look


async def connection(look: Look, target: Target) -> list[Finding]:
    """Check that nobody in between can read along."""
    [row] = await look.rows("select current_setting('server_version') as version, session_user::text as login")
    encrypted = look.connection.pgconn.ssl_in_use
    found = f"PostgreSQL {row['version'].split()[0]} at {target} as {row['login']}, {'over' if encrypted else 'without'} TLS"
    if encrypted or is_local(target.host):
        return [ok(look.name, found)]
    return [warn(look.name, f"{found}: whoever is in between can read along", f"add sslmode=verify-full to {target.variable}")]


async def version(look: Look) -> list[Finding]:
    """Check that its version is supported and has no known fault of row-level security."""
    [row] = await look.rows("select current_setting('server_version_num')::int as number")
    return versions.judge(look.name, row["number"], datetime.now(UTC).date())


async def time_of_day(look: Look) -> list[Finding]:
    """Check that its clock is ours."""
    before = time.time()
    [row] = await look.rows("select extract(epoch from clock_timestamp())::float8 as now")
    return [clock.judge(look.name, before, row["now"], time.time())]


async def writing(look: Look) -> list[Finding]:
    """Check that it takes writes: no standby, and no login or server that is set to read only."""
    [row] = await look.rows(
        """
        select pg_is_in_recovery() as standby, reset_val = 'on' as read_only, format('%I', session_user) as login
        from pg_catalog.pg_settings where name = 'default_transaction_read_only'
        """
    )
    if row["standby"]:
        return [fail(look.name, "the server is a standby: every operation is refused", f"name the primary in {look.login.variable}")]
    if row["read_only"]:
        mend = "find out who set it (a full disk?), then, where it was set for the login:"
        statement = f"alter role {row['login']} reset default_transaction_read_only;"
        return [fail(look.name, "default_transaction_read_only is on: every operation is refused", mend, statement)]
    return [ok(look.name, "the server takes writes")]
