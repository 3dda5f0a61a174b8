"""Connections for the pool: why the last one failed, and whether one that lay idle is still good."""

from __future__ import annotations

from select import POLLIN, poll
from typing import Any, Final, Self

import psycopg

from lift_store.classify import RETRY_AFTER
from lift_store.errors import InternalError, StoreError, UnavailableError

# libpq gives no SQLSTATE of a refused connection, so its words decide: those of servers that speak English
_OURS: Final = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "is not permitted to log in",
    "permission denied for database",
    "does not exist",
)


class Connection(psycopg.AsyncConnection):
    """A connection whose class remembers why the last attempt failed; each store has a class of its own, by `connection_class`."""

    failure: str = ""

    @classmethod
    async def connect(cls, conninfo: str = "", **options: Any) -> Self:
        """Connect, and remember why not. Raises psycopg.Error."""
        try:
            connection = await super().connect(conninfo, **options)
        except psycopg.Error as error:
            cls.failure = " ".join(str(error).split())
            raise
        cls.failure = ""
        return connection

    @property
    def is_stale(self) -> bool:
        """Whether the server has sent something since the last answer, no round trip: it is closing the connection, as at a restart."""
        readable = poll()
        readable.register(self.fileno(), POLLIN)
        return bool(readable.poll(0))


def connection_class() -> type[Connection]:
    """Return a class of connections with a memory of its own."""
    return type("Connection", (Connection,), {})


def no_connection(failure: str, seconds: float) -> StoreError:
    """Return the error of who got no connection within *seconds*; *failure*: what libpq said, which is no secret."""
    if any(words in failure for words in _OURS):
        return InternalError(f"the database refuses our login: {failure}")
    reason = f": {failure}" if failure else ""
    return UnavailableError(f"no connection to the database within {seconds:g} s{reason}", retry_after=RETRY_AFTER)
