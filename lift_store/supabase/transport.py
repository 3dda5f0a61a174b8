"""HTTP below the client: aiohttp's connections under httpx, shared by a bounded number of callers, and counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, Final

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from httpx_aiohttp import AiohttpTransport

from lift_store.classify import RETRY_AFTER
from lift_store.errors import SaturatedError
from lift_telemetry.pools import PoolSnapshot

_NOT_OURS: Final = "set-cookie"
"""What a gateway would have one user's client send back with the next user's request."""


class _Connector(aiohttp.TCPConnector):
    """Counts the connections that it makes, which no public hook tells when one fails or is given up."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit=limit)
        self.connecting = 0
        self.opened = 0
        self.errors = 0

    async def _create_connection(self, *arguments: Any, **named: Any) -> ResponseHandler:
        self.opened += 1
        self.connecting += 1
        try:
            return await super()._create_connection(*arguments, **named)
        except Exception:  # counted and raised again; a cancelled attempt is no error
            self.errors += 1
            raise
        finally:
            self.connecting -= 1

    @property
    def idle(self) -> int:
        """How many connections wait for a request."""
        return sum(protocol.is_connected() for kept in self._conns.values() for protocol, _ in kept)


class Transport(httpx.AsyncBaseTransport):
    """HTTP/1.1 over at most *max_connections*, each request with a connection to itself until its answer is read whole.

    Further callers wait in turn, for at most *acquire_timeout* seconds and at most *max_waiting* of them; else SaturatedError, with nothing
    sent. *observe_acquire* takes the seconds that each waited. Any caller may be cancelled at any moment: its connection is closed, its
    place free. Made where the event loop runs.
    """

    def __init__(self, *, max_connections: int, acquire_timeout: float, max_waiting: int, observe_acquire: Callable[[float], None]) -> None:
        self._max = max_connections
        self._acquire_timeout = acquire_timeout
        self._max_waiting = max_waiting
        self._observe_acquire = observe_acquire
        self._places = asyncio.Semaphore(max_connections)
        self._in_use = 0
        self._pending = 0
        self._timeouts = 0
        self._connector = _Connector(max_connections)
        # no cookies, no proxy or netrc of this machine: nothing that one request leaves reaches the next
        session = aiohttp.ClientSession(connector=self._connector, cookie_jar=aiohttp.DummyCookieJar())
        self._inner = AiohttpTransport(client=session)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request* when a connection is free, and return its answer, read whole."""
        async with self._place():
            response = await self._inner.handle_async_request(request)
            try:
                await response.aread()
            finally:
                await response.aclose()
        response.headers.pop(_NOT_OURS, None)
        return response

    async def aclose(self) -> None:
        """Close every connection."""
        await self._inner.aclose()

    def snapshot(self, name: str) -> PoolSnapshot:
        """Return what the pool called *name* is doing now; no I/O."""
        return PoolSnapshot(
            name=name,
            max=self._max,
            idle=self._connector.idle,
            in_use=self._in_use - self._connector.connecting,
            connecting=self._connector.connecting,
            pending=self._pending,
            timeouts=self._timeouts,
            opened=self._connector.opened,
            errors=self._connector.errors,
        )

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        started = perf_counter()
        try:
            await self._acquire()
        finally:
            self._observe_acquire(perf_counter() - started)
        self._in_use += 1
        try:
            yield
        finally:
            self._in_use -= 1
            self._places.release()

    async def _acquire(self) -> None:
        if not self._places.locked():
            await self._places.acquire()  # does not wait
            return
        if self._pending >= self._max_waiting:
            raise self._saturated(f"{self._pending} callers wait for one of {self._max} connections, and no more may")
        self._pending += 1
        try:
            async with asyncio.timeout(self._acquire_timeout):
                await self._places.acquire()
        except TimeoutError:
            self._timeouts += 1
            raise self._saturated(f"all {self._max} connections stayed in use for {self._acquire_timeout:g} s") from None
        finally:
            self._pending -= 1

    @staticmethod
    def _saturated(why: str) -> SaturatedError:
        return SaturatedError(why, retry_after=RETRY_AFTER)
