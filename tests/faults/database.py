"""Ways to break a database, each for as long as a `with` lasts."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from lift_store.local.postgres import LocalPostgres
from tests.servers import Database

TERMINATE = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = 'test_app'"
"""Ends the service's connections, and returns when they have."""
BUSY = "select count(*) from pg_stat_activity where usename = 'test_app' and state <> 'idle'"
"""How many of them do something."""


@contextmanager
def locked(database: Database) -> Iterator[psycopg.Connection]:
    """Keep every operation waiting in mid statement; gives a connection to look from."""
    with psycopg.connect(database.admin) as holder, psycopg.connect(database.admin, autocommit=True) as looking:
        holder.execute("lock table lift.sessions")
        yield looking


async def until(looking: psycopg.Connection, query: str, wanted: int) -> None:
    """Wait until *query* counts *wanted*."""
    async with asyncio.timeout(10):
        while (found := looking.execute(query).fetchone()) != (wanted,):
            assert found
            await asyncio.sleep(0.02)


@contextmanager
def down(server: LocalPostgres) -> Iterator[None]:
    """Let the server crash, and start it again."""
    server.kill()
    try:
        yield
    finally:
        server.restart()


@contextmanager
def login_without_connections(database: Database) -> Iterator[None]:
    """Allow the service's login none, as a limit that others have used up."""
    with psycopg.connect(database.admin, autocommit=True) as admin:
        admin.execute("alter role test_app connection limit 0")
        try:
            admin.execute(TERMINATE)
            yield
        finally:
            admin.execute("alter role test_app connection limit -1")


@contextmanager
def server_without_connections(database: Database) -> Iterator[None]:
    """Take all that the server has, those of the service too."""
    with contextlib.ExitStack() as taken, psycopg.connect(database.admin, autocommit=True) as admin:

        def take_all() -> None:
            with contextlib.suppress(psycopg.OperationalError):
                while True:
                    taken.enter_context(psycopg.connect(database.migrator))

        take_all()
        admin.execute(TERMINATE)
        take_all()
        yield


def fill(file: Path) -> None:
    """Write until the disk is full."""
    with file.open("wb") as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(65536))
            filler.flush()


@contextmanager
def small_disk() -> Iterator[Path]:
    """Mount a file system of 192 MB."""
    with tempfile.TemporaryDirectory(prefix="lift-store-disk-") as made:
        mounted = subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=192m,mode=711", "tmpfs", made], capture_output=True, check=False)
        if mounted.returncode:
            pytest.skip(f"no file system of its own can be mounted here: {mounted.stderr.decode().strip()}")
        try:
            yield Path(made)
        finally:
            subprocess.run(["/bin/umount", "--lazy", made], check=True)
