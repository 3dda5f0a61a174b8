"""The whole service on one machine: an embedded PostgreSQL set up as a project's would be, with its login and secret."""

from __future__ import annotations

import os
import secrets
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psycopg
from platformdirs import user_data_dir
from psycopg import sql

from lift_store.local.postgres import LocalPostgres
from lift_store.local.process import unprivileged
from lift_store.schema import migrate
from lift_store.schema.logins import ensure_login

_DATABASE: Final = "lift"
_MIGRATOR: Final = "lift_migrator"
_APP: Final = "lift_store_app"


def default_data_dir() -> Path:
    """Return where data is kept: the user's data directory; as root, the system's, which PostgreSQL's account can reach."""
    return Path("/var/lib/lift-store") if os.geteuid() == 0 else Path(user_data_dir("lift-store"))


def secret_file(data_dir: Path) -> Path:
    """Return the file that holds the JWT secret of a data directory."""
    return data_dir / "jwt.secret"


class LocalStack:
    """A migrated database in *data_dir* and the login of the service, from `with` to its end. Raises LocalError, MigrationError.

    Passwords of logins are made anew at each start and kept nowhere; the JWT secret is made once, so that tokens outlive a restart.
    """

    def __init__(self, data_dir: Path) -> None:
        self._dir = data_dir.absolute()
        self._exit = ExitStack()
        self.jwt_secret = ""
        self.app_dsn = ""
        self.admin_dsn = ""
        self.migrated: list[str] = []

    def __enter__(self) -> Self:
        with ExitStack() as started:
            self._make_folder()
            self.jwt_secret = _secret(secret_file(self._dir))
            server = started.enter_context(LocalPostgres(self._dir / "postgres"))
            self._set_up(server)
            self._exit = started.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._exit.close()

    def _make_folder(self) -> None:
        if not self._dir.exists():
            self._dir.mkdir(parents=True)
            # as root, PostgreSQL's account must pass through to its own folder; it can list nothing here
            self._dir.chmod(0o711 if unprivileged() else 0o700)

    def _set_up(self, server: LocalPostgres) -> None:
        admin, password = server.dsn("postgres", "postgres"), secrets.token_urlsafe(24)
        with psycopg.connect(admin, autocommit=True) as connection:
            if not connection.execute("select from pg_roles where rolname = %s", [_MIGRATOR]).rowcount:
                connection.execute(sql.SQL("create role {} login createrole").format(sql.Identifier(_MIGRATOR)))
            connection.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(_MIGRATOR), password))
            if not connection.execute("select from pg_database where datname = %s", [_DATABASE]).rowcount:
                names = sql.Identifier(_DATABASE), sql.Identifier(_MIGRATOR)
                connection.execute(sql.SQL("create database {} owner {}").format(*names))
        self.migrated = migrate.up(server.dsn(_MIGRATOR, _DATABASE, password))
        ensure_login(admin, _APP, password, "lift_app")
        self.app_dsn = server.dsn(_APP, _DATABASE, password)
        self.admin_dsn = server.dsn("postgres", _DATABASE)


def _secret(file: Path) -> str:
    """Return the secret in *file*, made on first use and readable by its owner only."""
    if not file.exists():
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as made:
            made.write(secrets.token_urlsafe(48))
    return file.read_text("utf-8").strip()
