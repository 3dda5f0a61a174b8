"""The whole service as a process of its own, and clients of its two ports."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from lift_store.local.process import free_port
from tests.unit.api.tokens import SECRET

PROGRAM = """
import asyncio
from lift_store.api.serve import run
from lift_store.settings import Settings, SettingsError
try:
    asyncio.run(run(Settings.load(), on_ready=lambda: print("READY", flush=True)))
except SettingsError as error:
    raise SystemExit(str(error))
"""


class Running:
    """A service process and clients of its ports."""

    def __init__(self, process: Process, api: int, operator: int, log: Path) -> None:
        self.process = process
        self.ports = api, operator
        self.log = log
        self.api = httpx.AsyncClient(base_url=f"http://127.0.0.1:{api}")
        self.operator = httpx.AsyncClient(base_url=f"http://127.0.0.1:{operator}")


@asynccontextmanager
async def service(folder: Path, ports: tuple[int, int] | None = None, **variables: Any) -> AsyncIterator[Running]:
    """Run it with its log in *folder*, on free *ports* for the API and for operators unless given."""
    ports = ports or (free_port(), free_port())
    environment = {
        "LIFT_STORE_BACKEND": "memory",
        "SUPABASE_JWT_SECRET": SECRET,
        "LIFT_STORE_PORT": ports[0],
        "LIFT_STORE_OPERATOR_PORT": ports[1],
        "LIFT_STORE_DATA_DIR": folder,
        "LIFT_STORE_LOG_FORMAT": "json",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    } | variables
    log = folder / f"service-{ports[0]}.log"
    with log.open("ab") as errors:  # a pipe that nobody empties would block it
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", PROGRAM),
            env={name: str(value) for name, value in environment.items()},
            stdout=PIPE,
            stderr=errors,
        )
    running = Running(process, *ports, log)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
        await running.api.aclose()
        await running.operator.aclose()


async def ready(running: Running) -> None:
    assert running.process.stdout
    async with asyncio.timeout(20):
        async for line in running.process.stdout:
            if line.strip() == b"READY":
                return
    pytest.fail("the service ended before it was ready")


async def ended(running: Running, within: float) -> int:
    async with asyncio.timeout(within):
        await running.process.communicate()
    assert running.process.returncode is not None
    return running.process.returncode


async def eventually(condition: Callable[[], Awaitable[bool]], within: float = 15) -> None:
    """Wait until *condition* holds; what is watched is another process, which cannot wake us."""
    async with asyncio.timeout(within):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
