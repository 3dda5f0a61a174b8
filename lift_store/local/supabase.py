"""Supabase Lite on a PostgreSQL: PostgREST's and GoTrue's interfaces by one process of Node.js, for those without an account.

Lite grants everything to anon, authenticated and service_role in every schema that has a table with row-level security. Its login is
therefore one that owns nothing of ours and has no right that it could grant: PostgreSQL answers such a GRANT with a warning, and every
privilege stays as migrated. That it may read everything (pg_read_all_data) is what makes it a warning and not an error; row-level
security holds for it all the same, and a request never runs as it, but as one of the three roles.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Final, Self
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import psycopg
from psycopg import sql

from lift_store.local import npm
from lift_store.local.folder import prepare, usable, write_private
from lift_store.local.process import LocalError, free_port, spawn, stop, tail

PACKAGE: Final = Path(__file__).parent / "supabase_lite"
"""The npm package that pins Lite and all that it needs."""
_NODE: Final = (20, 19)  # the newest that a package of the lockfile asks for
_PROGRAM: Final = Path("node_modules", "@supabase", "lite", "dist", "cli", "index.js")
_START_TIMEOUT: Final = 60.0
_STOP_TIMEOUT: Final = 10.0
_NO_PRIVILEGE: Final = "42501"
_AUTH_OWNER: Final = "select rolname from pg_catalog.pg_namespace n join pg_catalog.pg_roles r on r.oid = n.nspowner where nspname = 'auth'"
_HAND_OVER: Final = (
    "grant anon, authenticated, service_role to {login} with inherit false, set true",
    "grant pg_read_all_data to {login} with inherit true, set false",
    "grant create on database {database} to {login}",
    "alter schema auth owner to {login}",
    "alter function auth.uid() owner to {login}",
    # whoever migrates goes on naming it in policies
    "grant usage on schema auth to {owner}",
    "grant execute on function auth.uid() to {owner}",
)


def node() -> npm.Node:
    """Return a Node.js that is new enough for Lite. Raises LocalError."""
    return npm.find_node(_NODE)


def install(target: Path) -> None:
    """Install Lite into *target*, unless it is there, from the npm registry; some 150 MB. Raises LocalError."""
    npm.install(PACKAGE, target, _NODE)


class LocalSupabase:
    """Supabase Lite on 127.0.0.1, from `with` to its end, over a migrated database of PostgreSQL 16 or newer.

    *admin* is a superuser's connection string to it, used to make Lite's own login and to hand schema auth to it, as Supabase does to
    its own. What Lite writes stays in *folder*; *programs* is where `install` put it. User tokens are signed with *jwt_secret*;
    the keys are made anew at each start. *port* 0 takes any free one. Raises LocalError, psycopg.Error.
    """

    def __init__(self, folder: Path, admin: str, *, programs: Path, jwt_secret: str, port: int = 0) -> None:
        self.jwt_secret = jwt_secret
        self.publishable_key = f"sb_publishable_{secrets.token_urlsafe(24)}"
        self.secret_key = f"sb_secret_{secrets.token_urlsafe(24)}"
        self._root = folder.resolve()
        self.log = self._root / "supabase-lite.log"
        self._admin = admin
        self._programs = programs.resolve()
        self._port = port
        self._exit = ExitStack()

    @property
    def url(self) -> str:
        """The project's URL: its REST API is under /rest/v1."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        program = node().program
        self._port = self._port or free_port()
        configuration = self._configuration(_hand_over(self._admin))
        with usable(self._root):
            prepare(self._root, None)
            write_private(self._root / "config.json", json.dumps(configuration))
        # nothing of our environment: Lite's driver would take a PGHOST that is meant for us, and Lite itself a key
        environment = {"HOME": str(self._root), "LITE_TELEMETRY": "0", "DO_NOT_TRACK": "1"}
        # Lite takes the name of its configuration from the folder that it runs in, even where it is absolute
        configuration_file = os.path.relpath(self._programs / "config.mjs", self._root)
        command: list[str | Path] = [program, self._programs / _PROGRAM, "start", "--no-admin", "--config", configuration_file]
        with ExitStack() as started:  # whatever ends the start, Ctrl-C included, ends what it has begun
            process = spawn(command, self.log, environment=environment, folder=self._root)
            started.callback(stop, process, signal.SIGTERM, timeout=_STOP_TIMEOUT)
            self._wait(process)
            self._exit = started.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._exit.close()

    def _configuration(self, database_url: str) -> dict[str, Any]:
        """Return what config.mjs reads: the URL of the database, and the rest in the words of Supabase's config.toml."""
        return {
            "url": database_url,
            "api": {"port": self._port, "schemas": ["public"]},
            "auth": {
                "enabled": True,
                "jwt_secret": self.jwt_secret,
                "publishable_key": self.publishable_key,
                "secret_key": self.secret_key,
            },
        }

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the database refuses anon an operation: then Lite has done in it what it does with its first request."""
        deadline = monotonic() + _START_TIMEOUT
        while process.poll() is None and monotonic() < deadline:
            if self._refuses_anon():
                return
            sleep(0.05)  # until it listens
        raise LocalError(f"Supabase Lite did not start: {tail(self.log)}")

    def _refuses_anon(self) -> bool:
        headers = {"apikey": self.publishable_key, "Content-Type": "application/json"}
        request = Request(f"{self.url}/rest/v1/rpc/session_list_active", b"{}", headers)  # noqa: S310 - our own loopback URL
        try:
            urlopen(request, timeout=5).close()  # noqa: S310 - as above
        except HTTPError as error:
            return _code(error.read()) == _NO_PRIVILEGE
        except (URLError, OSError):
            pass
        return False


def _code(body: bytes) -> object:
    try:
        return json.loads(body)["code"]
    except (ValueError, LookupError, TypeError):
        return None


def _hand_over(admin: str) -> str:
    """Make Lite's login, let it replace what is in schema auth, which it does at each start, and return the URL that it connects with.

    Each database has a login of its own, since Lite's of another one, on the same server, goes on using the password that it has.
    """
    with psycopg.connect(admin, autocommit=True) as connection, connection.transaction():
        database, password = connection.info.dbname, secrets.token_urlsafe(24)
        login = f"supabase_lite_{database}"
        owner = connection.execute(_AUTH_OWNER).fetchone()
        if owner is None:
            raise LocalError(f"the database {database!r} has no schema auth: migrate it first")
        if not connection.execute("select from pg_catalog.pg_roles where rolname = %s", [login]).rowcount:
            connection.execute(sql.SQL("create role {} login").format(sql.Identifier(login)))
        names = {"login": sql.Identifier(login), "database": sql.Identifier(database), "owner": sql.Identifier(*owner)}
        for statement in _HAND_OVER:
            connection.execute(sql.SQL(statement).format(**names))
        connection.execute(sql.SQL("alter role {login} password {password}").format(password=password, **names))
        return f"postgres://{quote(login)}:{password}@{connection.info.host}:{connection.info.port}/{quote(database)}"
