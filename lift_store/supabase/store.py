"""Sessions in Supabase, by its client: one request an operation, with the caller's own token, to the functions that direct SQL calls."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from time import time
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

import httpx
import stamina
from postgrest.base_request_builder import RequestConfig
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from lift_store.calls import CalledSessions
from lift_store.classify import RETRY_AFTER
from lift_store.context import operation_context
from lift_store.errors import DeadlineError, StoreError, UnauthenticatedError, UnavailableError
from lift_store.models import Model
from lift_store.notes import note
from lift_store.observability import Observability, observe_store
from lift_store.principal import Principal
from lift_store.protocol import Backend, Operation
from lift_store.supabase.classify import Answer, denial_kind, failure, refusal
from lift_store.supabase.transport import Transport
from lift_telemetry.pools import PoolSnapshot

_ATTEMPTS: Final = 3
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 0.5
"""Seconds before an attempt is repeated; what Retry-After asks beyond RETRY_AFTER is the caller's to wait."""
_SERVER_TIMING: Final = re.compile(r"[\w;=.,\" -]{1,400}", re.ASCII)
"""A header of W3C Server Timing, and nothing that could hold more than names and numbers."""
_ALIVE: Final = ("42501", "PT401")
"""How a database that works refuses those who have not signed in."""


class SupabaseSessionStore:
    """Keeps sessions in a Supabase project, or behind any PostgREST that has this project's migrations.

    *url* is the project's, such as https://project.supabase.co; *key* its publishable key, or the legacy anon key. Every principal needs a
    `token`, which goes with that principal's own requests and is kept nowhere else. *max_connections* bounds the connections.
    *acquire_timeout*: seconds that a caller waits for one; *max_waiting*: callers that may wait at once, more get SaturatedError at once;
    *operation_timeout*: seconds for an operation in all, waiting and repeats included. What fails as unavailable is sent again, twice at
    most, under the same operation_id. *observability* defaults to this process's global Prometheus registry.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        observability: Observability | None = None,
        max_connections: int = 10,
        acquire_timeout: float = 2.0,
        max_waiting: int = 200,
        operation_timeout: float = 5.0,
    ) -> None:
        self.observability = observability or observe_store(Backend.SUPABASE)
        self.telemetry = self.observability.telemetry
        self._url = url
        self._key = key
        self._max_connections = max_connections
        self._acquire_timeout = acquire_timeout
        self._max_waiting = max_waiting
        self._operation_timeout = operation_timeout
        self._client: AsyncClient | None = None

    async def __aenter__(self) -> Self:
        self._transport = Transport(
            max_connections=self._max_connections,
            acquire_timeout=self._acquire_timeout,
            max_waiting=self._max_waiting,
            observe_acquire=self.observability.pool_acquire("supabase"),
        )
        self._http = httpx.AsyncClient(transport=self._transport, timeout=httpx.Timeout(None, connect=self._acquire_timeout))
        # its own repeats would hide up to seven seconds and three failures from our deadline and our metrics
        options = AsyncClientOptions(httpx_client=self._http, auto_refresh_token=False, persist_session=False, postgrest_client_retry=False)
        self._client = await acreate_client(self._url, self._key, options)
        self.observability.pools.add(self.pool_snapshot)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.observability.pools.remove(self.pool_snapshot)
        self._client = None
        await self._http.aclose()

    def as_user(self, principal: Principal) -> SupabaseUserSessions:
        """Return the operations as *principal*."""
        return SupabaseUserSessions(self, principal)

    def pool_snapshot(self) -> PoolSnapshot:
        """Return what the connections are doing now; no I/O."""
        return self._transport.snapshot("supabase")

    async def ping(self) -> None:
        """Return if the database answers behind the gateway: it refuses a caller who has not signed in.

        PostgreSQL logs that refusal, since nothing of ours may be called by everybody.
        """
        try:
            async with asyncio.timeout(self._operation_timeout):
                answer = _refused(await self._send("session_list_active", {}, None))
        except TimeoutError:
            raise self._too_late() from None
        if answer and answer.code not in _ALIVE:
            raise refusal(answer, token_expired=False)

    async def call(self, operation: Operation, arguments: Mapping[str, Any], principal: Principal) -> bytes:
        """Call the function of *operation* as *principal* within the operation's deadline, and return its JSON."""
        try:
            async with asyncio.timeout(self._operation_timeout):
                try:
                    return await self._attempt(operation, arguments, principal)
                except UnavailableError as error:
                    return await self._repeat(operation, arguments, principal, error)
        except TimeoutError:
            raise self._too_late() from None

    async def _repeat(self, operation: Operation, arguments: Mapping[str, Any], principal: Principal, first: UnavailableError) -> bytes:
        async for attempt in stamina.retry_context(
            on=_is_worth_repeating,
            attempts=_ATTEMPTS,
            timeout=None,
            wait_initial=_FIRST_PAUSE,
            wait_max=_LONGEST_PAUSE,
            wait_jitter=_FIRST_PAUSE,
        ):
            with attempt:
                if attempt.num == 1:  # made already, without what a retrying caller costs
                    raise first
                self.observability.retried(operation)
                return await self._attempt(operation, arguments, principal)
        raise AssertionError  # pragma: no cover - the last attempt has returned or raised; for the type checker

    async def _attempt(self, operation: Operation, arguments: Mapping[str, Any], principal: Principal) -> bytes:
        response = await self._send(f"session_{operation}", arguments, principal)
        answer = _refused(response)
        if answer is None:
            return response.content
        error = refusal(answer, token_expired=_has_expired(principal))
        kind = denial_kind(answer, error)
        if kind:
            note(denial_kind=kind)
        raise error

    async def _send(self, function: str, arguments: Mapping[str, Any], principal: Principal | None) -> httpx.Response:
        """Make one request, as *principal* or as nobody. StoreError where there is no answer."""
        if self._client is None:
            raise UnavailableError("the store is not open")
        request: RequestConfig[httpx.AsyncClient] = self._client.rpc(function, dict(arguments)).request
        # the request's headers are its own copy: what is set here goes with it and with no other
        request.headers.pop("Authorization")
        if principal:
            request.headers["Authorization"] = f"Bearer {principal.token}"
        if traceparent := arguments.get("context", {}).get("traceparent"):
            request.headers["traceparent"] = traceparent
        try:
            # not the builder's execute(): it hides status and headers, and would send again as it thinks fit
            response = await request.send(httpx.Headers())
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - the table of failures ends with the unknown, which is internal
            raise failure(error) from None
        timing = response.headers.get("server-timing", "")
        if _SERVER_TIMING.fullmatch(timing):
            note(server_timing=timing)
        return response

    def _too_late(self) -> DeadlineError:
        return DeadlineError(f"no answer from Supabase within {self._operation_timeout:g} s")


class SupabaseUserSessions(CalledSessions):
    """The operations of `UserSessions` as one caller; each is one request."""

    def __init__(self, store: SupabaseSessionStore, principal: Principal) -> None:
        super().__init__(store.telemetry, principal)
        self._store = store

    async def _call(self, operation: Operation, arguments: Mapping[str, Any]) -> bytes:
        if self._principal.token is None:
            raise UnauthenticatedError("the principal has no token; Supabase takes each caller's own")
        parameters = {name: _parameter(value) for name, value in arguments.items() if value is not None}
        context = operation_context()
        if context:
            parameters["context"] = context
        return await self._store.call(operation, parameters, self._principal)


def _parameter(value: object) -> object:
    match value:
        case Model():
            return value.model_dump(mode="json")
        case UUID():
            return str(value)
        case _:
            return value


def _is_worth_repeating(error: Exception) -> bool:
    return isinstance(error, UnavailableError) and (error.retry_after or 0) <= RETRY_AFTER


def _has_expired(principal: Principal) -> bool:
    expires = (principal.claims or {}).get("exp")
    return isinstance(expires, (int, float)) and expires <= time()


def _refused(response: httpx.Response) -> Answer | None:
    return None if response.is_success else Answer.of(response.status_code, response.headers, response.content)
