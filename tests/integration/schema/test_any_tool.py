"""`supabase db push`, psql and our runner, the real ones, on one database in any order: each goes on where the others have left it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from lift_store.local.postgres import LocalPostgres
from lift_store.schema import migrate
from lift_store.schema.files import shipped
from tests.integration.schema.test_migrations import MIGRATIONS, describe, psql
from tests.servers import Database, empty_database

SUPABASE = Path(__file__).parents[2] / "tools" / "node_modules" / ".bin" / "supabase"
NEWEST = shipped()[-1].version
needs_cli = pytest.mark.skipif(not SUPABASE.exists(), reason="the Supabase CLI is not installed; ./dev test installs it into tests/tools")


@pytest.fixture(scope="module")
def hosted() -> Iterator[LocalPostgres]:
    """A server that has the role by which Supabase's are known."""
    with LocalPostgres.temporary() as running:
        with psycopg.connect(running.dsn("postgres", "postgres"), autocommit=True) as connection:
            connection.execute("create role supabase_admin nologin")
        yield running


@pytest.fixture
def project(hosted: LocalPostgres) -> Database:
    """A project's database, with what Supabase brings along and nothing of ours."""
    database = empty_database(hosted)
    psql(database.migrator, MIGRATIONS / "bootstrap" / "plain_postgres.sql")
    return database


@pytest.fixture
def plain(server: LocalPostgres) -> Database:
    """A database of plain PostgreSQL, with nothing of ours."""
    return empty_database(server)


def files(to: int) -> list[Path]:
    """Return the migrations up to a version."""
    return sorted(MIGRATIONS.glob("*.sql"))[:to]


def push(database: Database, folder: Path, to: int = NEWEST) -> subprocess.CompletedProcess[str]:
    """Run `supabase db push` with the migrations up to *to* in its project's folder."""
    migrations = folder / "supabase" / "migrations"
    migrations.mkdir(parents=True, exist_ok=True)
    for file in files(to):
        shutil.copy(file, migrations)
    login = conninfo_to_dict(database.migrator)
    url = f"postgresql://{login['user']}:{login['password']}@127.0.0.1:{login['port']}/{login['dbname']}?sslmode=disable"
    environment = {"HOME": str(folder), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "DO_NOT_TRACK": "1"}
    command: list[str | Path] = [SUPABASE, "db", "push", "--remote", url, "--workdir", folder, "--yes"]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=100)


def pushed(database: Database, folder: Path, to: int = NEWEST) -> list[int]:
    """Return the versions that a push applied."""
    answer = push(database, folder, to)
    assert answer.returncode == 0, answer.stderr
    return [int(version) for version in re.findall(r"Applying migration (\d+)_", answer.stdout + answer.stderr)]


def by_hand(database: Database, start: int, to: int) -> None:
    """Run the files after version *start* with psql, and let our runner look: it adopts them, and the CLI learns of them from it."""
    for file in files(to)[start:]:
        psql(database.migrator, file)
    assert migrate.up(database.migrator, to=to) == []


@needs_cli
@pytest.mark.parametrize("tools", [*permutations(["push", "psql", "migrate"])], ids=" ".join)
def test_each_tool_goes_on_where_the_others_left(project: Database, tmp_path: Path, tools: tuple[str, ...]) -> None:
    """A third of the way each; then the schema is that of any one of them, and none finds anything to do."""
    start = 0
    for tool, to in zip(tools, (3, 6, NEWEST), strict=True):
        if tool == "push":
            assert pushed(project, tmp_path, to) == list(range(start + 1, to + 1))
        elif tool == "psql":
            by_hand(project, start, to)
        else:
            assert migrate.up(project.migrator, to=to) == [migration.name for migration in shipped()[start:to]]
        start = to
    assert (pushed(project, tmp_path), migrate.up(project.migrator)) == ([], [])
    mixed = describe(project.migrator)
    migrate.down(project.migrator, to=0)
    migrate.up(project.migrator)
    assert describe(project.migrator) == mixed


@needs_cli
def test_what_was_taken_back_is_pushed_again(project: Database, tmp_path: Path) -> None:
    """The CLI's ledger loses what `down` undoes, and keeps what is not ours."""
    pushed(project, tmp_path)
    with psycopg.connect(project.migrator, autocommit=True) as connection:
        connection.execute("insert into supabase_migrations.schema_migrations (version, name) values ('20260101000000', 'theirs')")
    (tmp_path / "supabase" / "migrations" / "20260101000000_theirs.sql").write_text("select 1;")
    assert migrate.up(project.migrator) == []
    migrate.down(project.migrator, to=NEWEST - 2)
    with psycopg.connect(project.migrator, autocommit=True) as connection:
        left = connection.execute("select version from supabase_migrations.schema_migrations order by 1").fetchall()
    assert [version for (version,) in left] == [f"{version:03}" for version in range(1, NEWEST - 1)] + ["20260101000000"]


@needs_cli
def test_a_push_onto_plain_postgresql_that_we_migrated_fails_and_changes_nothing(plain: Database, tmp_path: Path) -> None:
    """It says that the schema exists; after our runner has looked again, which it tells to do, the push finds nothing to do."""
    migrate.up(plain.migrator)
    ours = describe(plain.migrator)
    refused = push(plain, tmp_path)
    assert (refused.returncode, describe(plain.migrator)) == (1, ours)
    assert 'schema "lift" already exists' in refused.stderr
    assert migrate.up(plain.migrator) == []
    assert pushed(plain, tmp_path) == []


def test_plain_postgresql_gets_no_ledger_of_supabases(plain: Database) -> None:
    """Nobody there would read it."""
    migrate.up(plain.migrator)
    with psycopg.connect(plain.admin) as connection:
        assert connection.execute("select to_regnamespace('supabase_migrations')").fetchone() == (None,)


def test_a_ledger_that_is_somebody_elses_is_left_alone(plain: Database) -> None:
    """Our runner does its own work without it."""
    with psycopg.connect(plain.admin, autocommit=True) as connection:
        connection.execute("create schema supabase_migrations")
        connection.execute("create table supabase_migrations.schema_migrations (version text primary key, statements text[], name text)")
        assert len(migrate.up(plain.migrator)) == NEWEST
        assert connection.execute("select count(*) from supabase_migrations.schema_migrations").fetchone() == (0,)
