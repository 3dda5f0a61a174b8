"""What the checks look at: the settings, and the database as each login of the service reaches it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg

from lift_store.doctor.connection import Connection, Target, connected, rows
from lift_store.doctor.finding import Finding, skip
from lift_store.doctor.refusal import explain
from lift_store.protocol import Backend
from lift_store.settings import Settings

LIMIT: Final = 5.0
"""Seconds for a connection, and for each check."""


class UnknownError(Exception):
    """The check cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Login:
    """One of the service's logins: the variable that names it, and the *roles* that it may become, its group first."""

    name: str
    variable: str
    field: str
    roles: tuple[str, ...]

    def dsn(self, settings: Settings) -> str | None:
        """Return its connection string, None where it is not configured."""
        secret = getattr(settings, self.field)
        return secret.get_secret_value() if secret else None


USER: Final = Login("user", "DATABASE_URL", "database_url", ("lift_app", "anon", "authenticated"))
OPERATOR: Final = Login("operator", "LIFT_STORE_OPERATOR_DATABASE_URL", "operator_database_url", ("lift_operator",))


@dataclass(frozen=True, slots=True)
class Reached:
    """A connection of a login, or the finding that says why there is none."""

    login: Login
    target: Target | None = None
    connection: Connection | None = None
    refusal: Finding | None = None

    def use(self) -> Connection:
        """Return the connection; UnknownError if there is none."""
        if self.connection is None:
            see = f"no connection, see {self.login.name}.connection"
            raise UnknownError(see if self.refusal is None or self.target else self.refusal.found)
        if self.connection.closed:
            raise UnknownError("the connection was lost")
        return self.connection


@dataclass(frozen=True, slots=True)
class Subject:
    """All that a check may look at."""

    settings: Settings
    reached: Mapping[Login, Reached]


@dataclass(frozen=True, slots=True)
class Look:
    """One check's view of the database: its name, and a login's connection in a transaction of its own."""

    name: str
    login: Login
    settings: Settings
    connection: Connection

    async def rows(self, query: LiteralString | bytes, *params: object) -> list[dict[str, Any]]:
        """Run one query."""
        return await rows(self.connection, query, *params)


async def reach(login: Login, settings: Settings, stack: AsyncExitStack) -> Reached:
    """Connect as *login* until *stack* ends."""
    name, dsn = f"{login.name}.connection", login.dsn(settings)
    if settings.backend is Backend.MEMORY:
        return Reached(login, refusal=skip(name, "LIFT_STORE_BACKEND is memory, which uses no database"))
    if dsn is None:
        return Reached(login, refusal=skip(name, f"{login.variable} is not set"))
    target = Target.of(login.variable, dsn)
    try:
        connection = await stack.enter_async_context(connected(dsn, LIMIT))
    except (psycopg.Error, TimeoutError) as error:
        return Reached(login, target, refusal=explain(name, dsn, target, error))
    return Reached(login, target, connection)
