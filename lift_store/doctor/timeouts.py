"""Timeouts of a login's sessions: what ends a statement whose caller is gone, and whose cancel was lost."""

from __future__ import annotations

import math
from typing import Any, Final

from lift_store.doctor.finding import Finding, ok, warn
from lift_store.doctor.subject import USER, Look

_MARGIN: Final = 3
"""Seconds by which the suggested statement_timeout is above the operation's own, which is to end it first."""
_MUCH: Final = 4
"""How many times the operation's timeout is too long for a statement that nobody waits for."""


async def timeouts(look: Look) -> list[Finding]:
    """Check that the server itself ends statements and transactions that nobody waits for."""
    # takes our own back, until the transaction ends: what was set in it hides where the session's came from
    await look.rows("select set_config('statement_timeout', null, true)")
    settings = await look.rows(
        """
        select name, reset_val::bigint / 1000.0 as seconds, format('alter role %I%s set', session_user,
          case when source = 'database user' then format(' in database %I', current_database()) else '' end) as alter, source,
          -- true of every superuser too
          (select pg_has_role(session_user, datdba, 'member') from pg_catalog.pg_database where datname = current_database())
            as administrator
        from pg_catalog.pg_settings
        where name in ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')
        """
    )
    found = {row["name"]: row | {"seconds": float(row["seconds"])} for row in settings}
    judged = (_statement(look, found["statement_timeout"]), _idle(look, found["idle_in_transaction_session_timeout"]))
    listed = ", ".join(f"{name} {row['seconds']:g} s" for name, row in found.items() if row["seconds"])
    return [finding for finding in judged if finding] or [ok(look.name, f"{listed}; operations have {look.settings.operation_timeout:g} s")]


def _statement(look: Look, row: dict[str, Any]) -> Finding | None:
    operation = look.settings.operation_timeout
    if not row["seconds"]:
        return _mend(look, row, "statement_timeout is 0: a statement whose cancel is lost runs on, however long")
    # an operator's query is not bounded by the timeout of operations
    if look.login is USER and row["seconds"] > _MUCH * operation:
        return _mend(
            look, row, f"statement_timeout is {row['seconds']:g} s: statements may outlive their callers, who wait {operation:g} s"
        )
    return None


def _idle(look: Look, row: dict[str, Any]) -> Finding | None:
    if row["seconds"]:
        return None
    return _mend(look, row, "idle_in_transaction_session_timeout is 0: a transaction whose caller is gone keeps its locks")


def _mend(look: Look, row: dict[str, Any], found: str) -> Finding:
    if row["administrator"]:  # whose other work may take as long as it likes
        return warn(look.name, found, f"name a login of the service's own in {look.login.variable}")
    if row["source"] == "client":
        return warn(look.name, found, f"take it out of the options in {look.login.variable}")
    seconds = math.ceil(look.settings.operation_timeout) + _MARGIN
    return warn(look.name, found, "give the login a limit; new sessions have it", f"{row['alter']} {row['name']} = '{seconds}s';")
