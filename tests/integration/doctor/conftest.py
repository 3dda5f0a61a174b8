"""A migrated database on each version of PostgreSQL at hand, and logins of each test's own to break."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from lift_store.doctor import Finding, Report, State, examine
from lift_store.local.postgres import LocalPostgres
from lift_store.schema.logins import ensure_login
from lift_store.settings import BackendChoice
from tests.servers import BINARIES, PASSWORD, Database, migrated_database

SECRET = "a-secret-of-these-tests-that-nobody-else-uses"  # noqa: S105 - of a test
ISSUER = "https://project.supabase.co/auth/v1"
Group = Literal["lift_app", "lift_operator"]


class Patient:
    """A database, logins to it that end with the test, and what the doctor finds."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.user = database.app
        self.operator: str | None = database.operator
        self._made: list[str] = []

    def run(self, *statements: str, by: str | None = None) -> None:
        """Run statements as a superuser, or as *by*."""
        with psycopg.connect(by or self.database.admin, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    @property
    def is_modern(self) -> bool:
        """Whether memberships have options and grantors: PostgreSQL 16 and newer."""
        with psycopg.connect(self.database.admin) as connection:
            return connection.info.server_version >= 160000

    def role(self, attributes: str = "") -> str:
        """Make a role that ends with the test."""
        name = f"doctor_{uuid4().hex[:12]}"
        self.run(f"create role {name} {attributes}")
        self._made.append(name)
        return name

    def login(self, group: Group | None = "lift_app", attributes: str = "") -> str:
        """Make a login as the set-up would, with *attributes* in addition; return its name."""
        name = self.role(f"login {attributes}")
        self.run(f"alter role {name} password '{PASSWORD}'")
        if group:
            ensure_login(self.database.admin, name, PASSWORD, group)
        return name

    def dsn(self, login: str, **changes: str) -> str:
        """Return the connection string of a login."""
        return make_conninfo(self.database.app, **{"user": login, "password": PASSWORD, **changes})

    def clean(self) -> None:
        """Drop the roles that were made."""
        for name in reversed(self._made):
            self.run(f"drop owned by {name}", f"drop role {name}")

    async def report(self, **changes: Any) -> Report:
        """Examine with the logins of this patient and *changes* of the configuration."""
        given = {
            "backend_choice": BackendChoice.POSTGRES,
            "database_url": self.user,
            "operator_database_url": self.operator,
            "supabase_url": None,
            "jwks_url": None,
            "jwt_secret": SECRET,
            "jwt_issuer": ISSUER,
        }
        return await examine(**{**given, **changes})

    async def found(self, name: str, **changes: Any) -> list[Finding]:
        """Return what the check *name* finds."""
        return [finding for finding in (await self.report(**changes)).findings if finding.name == name]

    async def one(self, name: str, **changes: Any) -> Finding:
        """Return the only thing that the check *name* finds."""
        [finding] = await self.found(name, **changes)
        return finding

    async def mended(self, name: str, state: State = State.FAIL) -> str:
        """See that all that *name* finds is *state*, do as its statements say, see that it is ok then; return what was found."""
        before = await self.found(name)
        assert {state} == {finding.state for finding in before}
        assert all(finding.mend and finding.sql for finding in before)
        self.run(*(statement for finding in before for statement in finding.sql))
        after = await self.found(name)
        assert [finding.state for finding in after] == [State.OK], after
        return "; ".join(finding.found for finding in before)


@pytest.fixture(scope="session", params=sorted(BINARIES))
def any_server(request: pytest.FixtureRequest) -> Iterator[LocalPostgres]:
    """A server of each version, of these tests' own: they change roles, which all databases of a server share."""
    bindir = BINARIES[request.param]
    if not bindir.is_dir():
        pytest.skip(f"PostgreSQL {request.param} is not installed here; ./dev test installs it where it may")
    with LocalPostgres.temporary(bindir=bindir) as running:
        yield running


@contextmanager
def _patient(database: Database) -> Iterator[Patient]:
    made = Patient(database)
    try:
        yield made
    finally:
        made.clean()


@pytest.fixture(scope="session")
def sound(any_server: LocalPostgres) -> Database:
    """A migrated database whose schema no test breaks."""
    return migrated_database(any_server)


@pytest.fixture
def patient(sound: Database) -> Iterator[Patient]:
    """It, with logins of the test's own."""
    with _patient(sound) as made:
        yield made


@pytest.fixture
def broken(any_server: LocalPostgres, sound: Database) -> Iterator[Patient]:
    """A copy of it that the test may break."""
    name = f"broken_{uuid4().hex[:12]}"
    with psycopg.connect(any_server.dsn("postgres", "postgres"), autocommit=True) as connection:
        template = conninfo_to_dict(sound.admin)["dbname"]
        connection.execute(f"create database {name} template {template} owner lift_migrator".encode())
    logins = {role: make_conninfo(getattr(sound, role), dbname=name) for role in ("admin", "migrator", "app", "operator")}
    with _patient(Database(**logins)) as made:
        yield made


@pytest.fixture
def set_up(any_server: LocalPostgres) -> Iterator[Callable[[Database], Patient]]:
    """Give what makes a patient of any database on the server."""
    made: list[Patient] = []

    def make(database: Database) -> Patient:
        made.append(Patient(database))
        return made[-1]

    assert any_server.port
    yield make
    for patient in made:
        patient.clean()
