"""The pool: is there room for it, and what is in between."""

from __future__ import annotations

from typing import Any

from lift_store.doctor.finding import Finding, fail, ok, warn
from lift_store.doctor.subject import Look, UnknownError


async def size(look: Look) -> list[Finding]:
    """Check that the login may have as many connections as the pool makes."""
    if await _is_pooled(look):
        raise UnknownError("a pooler is in between, whose own limits count")
    [room] = await look.rows(
        """
        select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
            - coalesce(current_setting('reserved_connections', true), '0')::int as server,
          nullif(d.datconnlimit, -1) as database, nullif(r.rolconnlimit, -1) as login,
          format('%I', d.datname) as quoted_database, format('%I', r.rolname) as quoted_login
        from pg_catalog.pg_roles r, pg_catalog.pg_database d
        where r.rolname = session_user and d.datname = current_database()
        """
    )
    limits = {who: room[who] for who in ("server", "database", "login") if room[who] is not None}
    wanted = look.settings.pool_max_size
    findings = [_tight(look, who, limit, room) for who, limit in limits.items() if limit < wanted]
    each = f"LIFT_STORE_POOL_MAX_SIZE is {wanted} of {min(limits.values())} connections"
    return findings or [ok(look.name, f"{each}: room for {min(limits.values()) // wanted} such processes")]


async def prepared(look: Look) -> list[Finding]:
    """Check that prepared statements find the session that they were prepared in."""
    pooled, used = await _is_pooled(look), look.settings.prepared_statements
    found = f"{'a pooler' if pooled else 'no pooler'} is in between, prepared statements are {'used' if used else 'not used'}"
    if pooled and used:
        mend = "set LIFT_STORE_PREPARED_STATEMENTS=false, unless the pooler keeps them (PgBouncer from 1.22 on), or gives whole sessions"
        return [warn(look.name, f"{found}: whether it keeps them cannot be seen from here", mend)]
    return [ok(look.name, found)]


async def _is_pooled(look: Look) -> bool:
    [row] = await look.rows("select pg_backend_pid() as pid")
    # a pooler greets its clients with a number of its own
    return bool(row["pid"] != look.connection.info.backend_pid)


def _tight(look: Look, who: str, limit: int, room: dict[str, Any]) -> Finding:
    wanted = look.settings.pool_max_size
    found = f"the {who} allows {limit} connections, LIFT_STORE_POOL_MAX_SIZE is {wanted}"
    if who == "server":
        return fail(look.name, found, f"set LIFT_STORE_POOL_MAX_SIZE to at most {limit}, or raise max_connections")
    statement = f"alter {'role' if who == 'login' else 'database'} {room[f'quoted_{who}']} connection limit {wanted};"
    return fail(look.name, found, f"set LIFT_STORE_POOL_MAX_SIZE to at most {limit}, or raise the limit", statement)
