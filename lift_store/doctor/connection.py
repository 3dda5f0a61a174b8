"""A connection to look through: bounded in time, read only, one transaction for each check."""

from __future__ import annotations

import asyncio
import ipaddress
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, LiteralString, TypeAlias

from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row

Connection: TypeAlias = AsyncConnection[DictRow]

_MIN_CONNECT_TIMEOUT: Final = 2  # libpq's
_CANCEL_GRACE: Final = 1.0
"""Seconds that a server has to end a statement when it is asked to."""

_SERVER_SHARE: Final = 0.9
"""Part of a check's time after which the server itself ends its statement, which leaves the connection whole."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a variable's connection string leads; nothing of it is secret."""

    variable: str
    host: str
    port: str
    user: str
    database: str

    @classmethod
    def of(cls, variable: str, dsn: str) -> Target:
        """Take the connection string apart; what it leaves out, libpq finds."""
        parts = conninfo_to_dict(dsn)
        return cls(variable, *(str(parts.get(key) or "") for key in ("host", "port", "user", "dbname")))

    def __str__(self) -> str:
        return f"{self.host or 'localhost'}:{self.port or 5432}"


@asynccontextmanager
async def connected(dsn: str, limit: float) -> AsyncIterator[Connection]:
    """Give a connection, made within *limit* seconds. Raises psycopg.Error or TimeoutError."""
    async with asyncio.timeout(limit):
        connection = await AsyncConnection.connect(
            dsn,
            autocommit=True,
            row_factory=dict_row,
            connect_timeout=max(_MIN_CONNECT_TIMEOUT, math.ceil(limit)),
            application_name="lift-store doctor",
        )
    async with connection:
        await connection.set_read_only(True)
        yield connection


@asynccontextmanager
async def looking(connection: Connection, limit: float) -> AsyncIterator[None]:
    """Run the block in one read-only transaction, of at most *limit* seconds here and there. Raises psycopg.Error or TimeoutError.

    A connection that did not answer in time is closed.
    """
    try:
        # the inner ends the statement, for which psycopg asks the server; the outer ends the asking, of a server that is frozen
        async with asyncio.timeout(limit + _CANCEL_GRACE), asyncio.timeout(limit), connection.transaction():
            # of the transaction, not of the session: a pooler would hand a session's settings on to strangers
            await rows(
                connection,
                "select set_config('statement_timeout', %s, true), set_config('search_path', '', true)",
                f"{math.ceil(limit * _SERVER_SHARE * 1000)}ms",
            )
            yield
    except TimeoutError:
        await connection.close()
        raise


async def rows(connection: Connection, query: LiteralString | bytes, *params: object) -> list[dict[str, Any]]:
    """Run one query, without leaving a prepared statement behind."""
    cursor = await connection.execute(query, params or None, prepare=False)
    return await cursor.fetchall()


def is_local(host: str) -> bool:
    """Whether *host* is this machine: loopback, or the folder of a socket."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in {"", "localhost"} or host.startswith(("/", "@"))
