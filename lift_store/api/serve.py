"""Serve the API and the operator port from one event loop, until told to stop."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Final

import structlog
import uvicorn

from lift_store import catalog
from lift_store.api.app import api_app, create_operator_app, make_service
from lift_store.api.auth import ASYMMETRIC, SYMMETRIC, SharedSecret, Verifier
from lift_store.api.health import Phase
from lift_store.api.jwks import KeySet
from lift_store.factory import build_store, process_registry
from lift_store.settings import SettingsError
from lift_telemetry.logs import configure_logging
from lift_telemetry.loop_lag import LoopLag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastapi import FastAPI

    from lift_store.api.service import Service
    from lift_store.settings import Settings

KEEP_ALIVE: Final = 75
"""Seconds; above the 60 of common load balancers, which else send a request into a connection that we are closing."""
OPERATOR_DRAIN: Final = 1
_ENDED_BY_SIGNAL: Final = 130
_CANCEL_AGAIN: Final = 0.05
"""Seconds."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_log = structlog.get_logger("lift_store.api")


class _Server(uvicorn.Server):
    """A server that says when it listens, and leaves the signals to us: two servers share them."""

    def __init__(self, app: FastAPI, listener: socket.socket, drain_timeout: float) -> None:
        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=round(drain_timeout) or 1,
        )
        super().__init__(config)
        self.listening = asyncio.Event()
        self._listener = listener

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def run_until_told(self) -> None:
        await self.serve([self._listener])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run(settings: Settings, *, on_ready: Callable[[], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; *on_ready* is called once both ports answer.

    A signal makes the service not ready, lets requests end, and closes the store; a second one ends it at once, with
    SystemExit. A database that is down does not keep it from starting. Raises SettingsError where a port cannot be had.
    """
    configure_logging(json=_logs_json(settings))
    with _stop_signal() as stop:
        async with AsyncExitStack() as stack:
            listeners = [
                stack.enter_context(_listen(settings.host, settings.port, "LIFT_STORE_PORT")),
                stack.enter_context(_listen(settings.operator_host, settings.operator_port, "LIFT_STORE_OPERATOR_PORT")),
            ]
            service = await _open(settings, stack)
            api = _Server(api_app(service), listeners[0], settings.drain_timeout)
            operator = _Server(create_operator_app(service), listeners[1], OPERATOR_DRAIN)
            await _serve(service, api, operator, stop, on_ready)


def _logs_json(settings: Settings) -> bool:
    """Whether to log for machines; `auto` means people where a terminal shows it."""
    return settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())


async def _open(settings: Settings, stack: AsyncExitStack) -> Service:
    registry = process_registry()
    store = build_store(settings, registry)
    keys = _key_set(settings)
    if keys:
        await stack.enter_async_context(keys)
    await stack.enter_async_context(store)
    return make_service(store, verifier=make_verifier(settings, keys), settings=settings, registry=registry, keys=keys)


def _key_set(settings: Settings) -> KeySet | None:
    url = settings.key_set_url
    return KeySet(url, cache=settings.data_dir / "jwks.json" if settings.data_dir else None) if url else None


def make_verifier(settings: Settings, keys: KeySet | None) -> Verifier:
    """Return the verifier that *settings* ask for: they choose the algorithms, never a token."""
    if keys:
        return Verifier(keys, algorithms=ASYMMETRIC, audience=settings.jwt_audience, issuer=settings.issuer)
    if settings.jwt_secret is None:
        raise SettingsError("SUPABASE_JWT_SECRET is missing: tokens cannot be verified without it or a key set")
    secret = SharedSecret(settings.jwt_secret)
    return Verifier(secret, algorithms=SYMMETRIC, audience=settings.jwt_audience, issuer=settings.issuer)


async def _serve(service: Service, api: _Server, operator: _Server, stop: asyncio.Event, on_ready: Callable[[], None] | None) -> None:
    instruments = service.store.observability.instruments
    async with LoopLag(instruments.child(catalog.EVENT_LOOP_LAG)), asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(service.health.watch())
        serving = [tasks.create_task(server.run_until_told()) for server in (api, operator)]
        await asyncio.gather(api.listening.wait(), operator.listening.wait())
        await service.health.report()  # the first probe must not wait for a dead database; until then: starting
        gc.freeze()  # what is here now stays: collections need not look through it again and again, which a slow request in a hundred feels
        service.health.phase = Phase.SERVING
        _log.info("ready", backend=service.settings.backend)
        if on_ready:
            on_ready()
        await stop.wait()
        _log.info("draining")
        service.health.phase = Phase.DRAINING
        await asyncio.sleep(service.settings.drain_delay)
        # one after the other: operators can see the API drain
        for server, task in zip((api, operator), serving, strict=True):
            server.should_exit = True
            await task
        watching.cancel()
    _log.info("stopped")


@contextmanager
def _listen(host: str, port: int, variable: str) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # the protocol must be named: asyncio turns Nagle's algorithm off only for sockets that say TCP, and it costs 40 ms an answer
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # a restart must not wait for the connections of the last run to time out
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        yield listener
    except OSError as error:
        raise SettingsError(f"{variable} takes a free port of this machine: {host}:{port}: {error.strerror}") from None
    finally:
        listener.close()


@contextmanager
def _stop_signal() -> Iterator[asyncio.Event]:
    """Give the event that the first signal sets; the second cancels all that runs, a third kills."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def first_then_second() -> None:
        if stop.is_set():
            _forget(loop)
            end_at_once()
        stop.set()

    def end_at_once() -> None:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        # again and again: a cancelled statement first asks the server to end it, and a pool waits for whoever connects
        loop.call_later(_CANCEL_AGAIN, end_at_once)

    for number in _SIGNALS:
        loop.add_signal_handler(number, first_then_second)
    try:
        yield stop
    except asyncio.CancelledError:
        if stop.is_set():  # by the second signal: the caller has nothing to clean up after a traceback
            raise SystemExit(_ENDED_BY_SIGNAL) from None
        raise
    finally:
        _forget(loop)


def _forget(loop: asyncio.AbstractEventLoop) -> None:
    for number in _SIGNALS:
        loop.remove_signal_handler(number)
