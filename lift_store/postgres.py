"""Sessions in PostgreSQL, over a pool of direct connections: one statement an operation, under the caller's own row-level security."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from time import perf_counter
from types import TracebackType
from typing import Any, Final, LiteralString, NoReturn, Self

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from lift_store import classify
from lift_store.calls import CalledSessions
from lift_store.connection import Connection, connection_class, no_connection
from lift_store.context import operation_context
from lift_store.errors import DeadlineError, SaturatedError, StoreError, UnavailableError
from lift_store.models import Model
from lift_store.notes import note
from lift_store.observability import Observability, observe_store
from lift_store.principal import Principal
from lift_store.protocol import Backend, Operation
from lift_store.schema.files import SchemaState, compare, shipped
from lift_telemetry.pools import PoolSnapshot

# the arguments of `CalledSessions._call` by place, between claims and context
_STATEMENTS: Final[dict[Operation, LiteralString]] = {
    Operation.CREATE: "select lift_private.session_create(%s::jsonb, %s::jsonb, %s, %s::jsonb)::text",
    Operation.GET: "select lift_private.session_get(%s::jsonb, %s, %s::jsonb)::text",
    Operation.UPDATE: "select lift_private.session_update(%s::jsonb, %s, %s::bigint, %s, %s::jsonb, %s, %s::jsonb)::text",
    Operation.DELETE: "select lift_private.session_delete(%s::jsonb, %s, %s, %s::jsonb)::text",
    Operation.LIST_ACTIVE: "select lift_private.session_list_active(%s::jsonb, %s::int, %s, %s::jsonb)::text",
    Operation.LIST_ALL: "select lift_private.session_list_all(%s::jsonb, %s, %s::int, %s, %s::jsonb)::text",
    Operation.ADD_REVISION: "select lift_private.session_add_revision(%s::jsonb, %s, %s::jsonb, %s, %s::jsonb)::text",
    Operation.ADD_DRAFT: "select lift_private.session_add_draft(%s::jsonb, %s, %s::jsonb, %s, %s::jsonb)::text",
    Operation.ADD_RESOLUTION: "select lift_private.session_add_resolution(%s::jsonb, %s, %s::jsonb, %s, %s::jsonb)::text",
}
_CANCEL_GRACE: Final = 0.2
"""Seconds of an operation's deadline, at most a tenth of it, that the server has to end a statement when it is asked to."""


_RECONNECT: Final = 1.0
"""Seconds that the pool goes on alone after a connection failed; then the next caller makes it try. Its pauses double, up to minutes."""


class PostgresSessionStore:
    """Keeps sessions in a PostgreSQL that has this project's migrations; made with the login of the user path (lift_app).

    *conninfo* is a libpq URL or keyword string. *min_size* and *max_size* bound the pool. *acquire_timeout*: seconds that a caller waits
    for a connection; *max_waiting*: callers that may wait at once, more get SaturatedError at once; *operation_timeout*: seconds for an
    operation in all, waiting included. *prepare*: use prepared statements; not behind a transaction pooler that lacks them.
    *observability* defaults to this process's global Prometheus registry.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        observability: Observability | None = None,
        min_size: int = 1,
        max_size: int = 10,
        acquire_timeout: float = 2.0,
        max_waiting: int = 200,
        operation_timeout: float = 5.0,
        prepare: bool = True,
    ) -> None:
        self.observability = observability or observe_store(Backend.POSTGRES)
        self.telemetry = self.observability.telemetry
        self._operation_timeout = operation_timeout
        self._prepare = prepare
        self._connections = connection_class()
        self._pool = AsyncConnectionPool(
            conninfo,
            connection_class=self._connections,
            open=False,
            min_size=min_size,
            max_size=max_size,
            timeout=acquire_timeout,
            max_waiting=max_waiting,
            reconnect_timeout=_RECONNECT,
            name="postgres",
            kwargs={
                "autocommit": True,
                "connect_timeout": max(2, round(acquire_timeout)),
                "application_name": "lift-store",
            },
        )
        self._in_use = 0
        self._pending = 0  # the pool's own count keeps callers who gave up
        self._timeouts = 0
        self._observe_acquire = self.observability.pool_acquire("postgres")

    async def __aenter__(self) -> Self:
        # does not wait for the first connection: a service starts, and says so, while its database is down
        await self._pool.open(wait=False)
        self.observability.pools.add(self.pool_snapshot)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.observability.pools.remove(self.pool_snapshot)
        await self._pool.close()

    def as_user(self, principal: Principal) -> PostgresUserSessions:
        """Return the operations as *principal*."""
        return PostgresUserSessions(self, principal)

    async def ping(self) -> None:
        """Return if the database answers a query on one of the pool's connections."""
        await self.fetch_one("select 1")

    async def schema_state(self) -> SchemaState:
        """Return how the database's migrations compare with those of this release."""
        text = await self.fetch_one("select coalesce(jsonb_object_agg(version, sha256), '{}')::text from lift_private.migrations")
        return compare(shipped(), {int(version): sha256 for version, sha256 in json.loads(text).items()})

    def pool_snapshot(self) -> PoolSnapshot:
        """Return what the pool is doing now; no I/O."""
        stats = self._pool.get_stats()
        idle = stats.get("pool_available", 0)
        return PoolSnapshot(
            name="postgres",
            max=self._pool.max_size,
            idle=idle,
            in_use=self._in_use,
            connecting=max(0, stats.get("pool_size", 0) - idle - self._in_use),
            pending=self._pending,
            timeouts=self._timeouts,
            opened=stats.get("connections_num", 0),
            errors=stats.get("connections_errors", 0),
        )

    async def fetch_one(self, statement: LiteralString, *params: object) -> Any:
        """Run one statement within the operation's deadline and return the first column of its first row."""
        grace = min(_CANCEL_GRACE, self._operation_timeout / 10)
        try:
            # the inner ends the statement, for which psycopg asks the server; the outer ends the asking, of a server that is frozen
            async with asyncio.timeout(self._operation_timeout), asyncio.timeout(self._operation_timeout - grace):
                connection = await self._acquire()
                try:
                    cursor = await connection.execute(statement, params, prepare=self._prepare)
                    row = await cursor.fetchone()
                finally:
                    self._in_use -= 1
                    await self._pool.putconn(connection)
        except TimeoutError:
            raise DeadlineError(f"no answer from the database within {self._operation_timeout:g} s") from None
        except psycopg.Error as error:
            _raise_refusal(error)
        return row[0] if row else None

    async def _acquire(self) -> Connection:
        started = perf_counter()
        self._pending += 1
        try:
            while (connection := await self._pool.getconn()).is_stale:
                await connection.close()
                await self._pool.putconn(connection)  # which sees that it is closed, and makes another
        except (PoolTimeout, TooManyRequests, PoolClosed) as error:
            raise self._no_connection(error) from None
        finally:
            self._pending -= 1
            self._observe_acquire(perf_counter() - started)
        self._in_use += 1
        return connection

    def _no_connection(self, error: Exception) -> StoreError:
        self._timeouts += isinstance(error, PoolTimeout)
        if isinstance(error, PoolClosed):
            return UnavailableError("the store is not open")
        if self._in_use < self._pool.max_size:  # then it is not our load that keeps connections away
            return no_connection(self._connections.failure, self._pool.timeout)
        return SaturatedError(
            f"all {self._pool.max_size} connections stayed in use for {self._pool.timeout:g} s",
            retry_after=classify.RETRY_AFTER,
        )


def _raise_refusal(error: psycopg.Error) -> NoReturn:
    state = error.sqlstate or "08000"  # psycopg raises without a state where the connection itself broke
    diag = error.diag
    refusal = classify.refusal(state, diag.message_primary or "", diag.message_hint, diag.message_detail)
    kind = classify.denial_kind(state, refusal)
    if kind:
        note(denial_kind=kind)
    raise refusal from None  # the driver's text may quote what the user sent


class PostgresUserSessions(CalledSessions):
    """The operations of `UserSessions` as one caller; each is one statement."""

    def __init__(self, store: PostgresSessionStore, principal: Principal) -> None:
        super().__init__(store.telemetry, principal)
        self._store = store

    async def _call(self, operation: Operation, arguments: Mapping[str, Any]) -> str | None:
        context = operation_context()
        parameters = (_parameter(value) for value in arguments.values())
        text: str | None = await self._store.fetch_one(
            _STATEMENTS[operation], self._principal.claims_json, *parameters, context and json.dumps(context)
        )
        return text


def _parameter(value: object) -> object:
    match value:
        case Model():
            return value.model_dump_json()
        case dict():
            return json.dumps(value)
        case _:
            return value
