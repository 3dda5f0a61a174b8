"""Why there is no connection, in words that lead to its mending."""

from __future__ import annotations

import re
from typing import Final

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from lift_store.doctor.connection import Target
from lift_store.doctor.finding import Finding, fail

# the first that fits counts; texts of libpq and of servers that speak English, the others are shown as they are
_CAUSES: Final = (
    (
        ("failed to resolve", "could not translate host name", "Name or service not known"),
        "its host name is not known",
        "check the host in {variable}, and this machine's DNS",
    ),
    (
        ("timeout expired",),
        "no answer in time",
        "check host and port in {variable}, and firewalls in between",
    ),
    (("Connection refused",), "nothing listens there", "start PostgreSQL, or correct host and port in {variable}"),
    (("No such file or directory",), "there is no such socket", "start PostgreSQL, or name its host in {variable}"),
    (
        ("password authentication failed", "SASL authentication failed", "no password supplied", "Tenant or user not found"),
        "it refuses the login or its password",
        "correct user and password in {variable}; in a URL, special characters of a password are percent-encoded",
    ),
    (("is not permitted to log in",), "the role cannot log in", "name a login in {variable}, as docs/DATABASE.md makes it"),
    (
        ("pg_hba.conf",),
        "its pg_hba.conf has no entry for this machine, user and database",
        "add the entry; where it has one for TLS only, add sslmode=require to {variable}",
    ),
    (
        ("SSL", "certificate"),
        "TLS failed",
        "check sslmode and sslrootcert in {variable} against what the server offers",
    ),
    (
        ("too many connections", "too many clients", "connection slots"),
        "it has no connection left",
        "lower LIFT_STORE_POOL_MAX_SIZE, or raise the limit of the login, the database or the server (max_connections)",
    ),
    (("starting up", "shutting down", "in recovery mode", "not yet accepting"), "it is starting or stopping", "wait, and run this again"),
)
_NO_DATABASE: Final = re.compile(r'(?:database ".*" does not exist|no such database)')


def explain(name: str, dsn: str, target: Target, error: Exception) -> Finding:
    """Return why there is no connection, without any secret."""
    text = str(error) or "timeout expired"
    place = f"{target} as {target.user or 'the default user'}"
    if _NO_DATABASE.search(text):
        found = f"{place}: there is no database {target.database!r}"
        return fail(name, found, f"correct the database's name in {target.variable}, or create it and run: lift-store migrate up")
    if "permission denied for database" in text:
        grant = sql.SQL("grant connect on database {} to {};").format(sql.Identifier(target.database), sql.Identifier(target.user))
        return fail(name, f"{place}: the login may not enter the database {target.database!r}", "let it", grant.as_string(None))
    for signs, cause, mend in _CAUSES:
        if any(sign in text for sign in signs):
            return fail(name, f"{place}: {cause}", mend.format(variable=target.variable))
    password = str(conninfo_to_dict(dsn).get("password") or "")
    said = text.splitlines()[0]
    return fail(name, f"{place}: {said.replace(password, '***') if password else said}", f"correct {target.variable}")
