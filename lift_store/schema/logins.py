"""Logins of plain PostgreSQL: set-up, not migration. A Supabase project makes its own, see docs."""

from __future__ import annotations

from typing import Literal

import psycopg
from psycopg import sql


def ensure_login(
    admin_dsn: str,
    name: str,
    password: str,
    group: Literal["lift_app", "lift_operator"],
    *,
    statement_timeout: str = "8s",
) -> None:
    """Make the login *name*, or set its password and settings anew, as a member of *group* and of nothing else.

    lift_app, the user path, may become anon and authenticated. Timeouts are settings of the login, since a statement's own cannot change
    them. *admin_dsn* names a role that may create roles. Raises psycopg.Error.
    """
    role = sql.Identifier(name)
    with psycopg.connect(admin_dsn, autocommit=True) as connection, connection.transaction():
        connection.execute("set local client_min_messages = warning")
        if not connection.execute("select from pg_catalog.pg_roles where rolname = %s", [name]).rowcount:
            connection.execute(sql.SQL("create role {} login").format(role))
        connection.execute(sql.SQL("alter role {} password {}").format(role, password))
        connection.execute(sql.SQL("alter role {} set statement_timeout = {}").format(role, statement_timeout))
        connection.execute(sql.SQL("alter role {} set lock_timeout = {}").format(role, statement_timeout))
        connection.execute(sql.SQL("alter role {} set idle_in_transaction_session_timeout = {}").format(role, statement_timeout))
        # lift_app inherits nothing, so its members hold no right of authenticated until they take on that role
        connection.execute("grant anon, authenticated to lift_app")
        connection.execute(sql.SQL("grant {} to {}").format(sql.Identifier(group), role))
