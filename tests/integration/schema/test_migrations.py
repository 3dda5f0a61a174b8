"""Migrations, on every major version of PostgreSQL at hand, by a role that is neither superuser nor BYPASSRLS."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lift_store.local.postgres import LocalPostgres
from lift_store.schema import files, migrate
from lift_store.schema.files import shipped
from lift_store.schema.migrate import MigrationError
from tests.servers import BINARIES, Database, empty_database

MIGRATIONS = Path(__file__).parents[3] / "migrations"


@pytest.fixture(scope="module", params=sorted(BINARIES))
def any_server(request: pytest.FixtureRequest) -> Iterator[LocalPostgres]:
    """A server of each version."""
    bindir = BINARIES[request.param]
    if not bindir.is_dir():
        pytest.skip(f"PostgreSQL {request.param} is not installed here; ./dev test installs it where it may")
    with LocalPostgres.temporary(bindir=bindir) as running:
        yield running


@pytest.fixture
def empty(any_server: LocalPostgres) -> Database:
    """A database on it with nothing of ours."""
    return empty_database(any_server)


@pytest.fixture
def one(server: LocalPostgres) -> Database:
    """A database with nothing of ours, on the newest version only."""
    return empty_database(server)


def describe(dsn: str) -> list[str]:
    """Look at a schema from outside."""
    with psycopg.connect(dsn, autocommit=True, options="-c search_path=") as connection:
        return migrate.describe(connection)


def psql(dsn: str, path: Path) -> None:
    """Run a file with the real psql: each statement in a transaction of its own."""
    program = shutil.which("psql") or str(BINARIES[15] / "psql")
    subprocess.run([program, "-qX", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-f", path], check=True, capture_output=True)


def test_up_applies_everything_once(empty: Database) -> None:
    """The first run applies each file in order, the second nothing."""
    assert {"pending"} == {s.state for s in migrate.status(empty.migrator)}
    assert [m.name for m in shipped()] == migrate.up(empty.migrator)
    assert {"applied"} == {s.state for s in migrate.status(empty.migrator)}
    assert migrate.up(empty.migrator) == []


def test_the_schema_has_the_fingerprint_that_is_shipped(empty: Database) -> None:
    """At each version, on each PostgreSQL: so that adoption recognises it."""
    for migration in shipped():
        migrate.up(empty.migrator, to=migration.version)
        with psycopg.connect(empty.migrator, autocommit=True, options="-c search_path=") as connection:
            assert migration.version == files.fingerprints()[migrate.fingerprint(connection)]


def test_down_then_up_gives_the_schema_back(empty: Database) -> None:
    """Step by step down to nothing, each step the version before it, and up again."""
    seen = {}
    for migration in shipped():
        migrate.up(empty.migrator, to=migration.version)
        seen[migration.version] = describe(empty.migrator)
    for migration in reversed(shipped()):
        assert [migration.name] == migrate.down(empty.migrator, to=migration.version - 1)
        assert seen.get(migration.version - 1, []) == describe(empty.migrator)
    migrate.up(empty.migrator)
    assert seen[shipped()[-1].version] == describe(empty.migrator)


def test_what_psql_set_up_is_the_same_schema_and_is_adopted(empty: Database) -> None:
    """File by file without our runner: the ledger is filled in, nothing is applied again."""
    psql(empty.migrator, MIGRATIONS / "bootstrap" / "plain_postgres.sql")
    for path in sorted(MIGRATIONS.glob("*.sql")):
        psql(empty.migrator, path)
    by_hand = describe(empty.migrator)
    assert {"pending"} == {s.state for s in migrate.status(empty.migrator)}
    assert migrate.up(empty.migrator) == []
    assert {"applied"} == {s.state for s in migrate.status(empty.migrator)}
    migrate.down(empty.migrator, to=0)
    migrate.up(empty.migrator)
    assert by_hand == describe(empty.migrator)


def test_an_older_schema_of_psql_is_adopted_and_taken_on(one: Database) -> None:
    """Adoption finds the version, then up applies the rest."""
    psql(one.migrator, MIGRATIONS / "bootstrap" / "plain_postgres.sql")
    for path in sorted(MIGRATIONS.glob("*.sql"))[:6]:
        psql(one.migrator, path)
    assert [m.name for m in shipped()[6:]] == migrate.up(one.migrator)


def test_a_schema_that_is_not_ours_is_not_adopted(one: Database) -> None:
    """One column more than ours: refused with what to do, and nothing is written."""
    migrate.up(one.migrator)
    with psycopg.connect(one.migrator, autocommit=True) as connection:
        connection.execute("delete from lift_private.migrations")
        connection.execute("alter table lift.sessions add column mine text")
    with pytest.raises(MigrationError, match="not that of any migration"):
        migrate.up(one.migrator)
    assert {"pending"} == {s.state for s in migrate.status(one.migrator)}


def test_a_changed_file_is_refused(one: Database) -> None:
    """Neither up nor down goes on where the ledger has another checksum, and the message names the file."""
    migrate.up(one.migrator, to=3)
    with psycopg.connect(one.migrator, autocommit=True) as connection:
        connection.execute("update lift_private.migrations set sha256 = repeat('0', 64) where version = 2")
    assert [s.state for s in migrate.status(one.migrator)][:4] == ["applied", "changed", "applied", "pending"]
    with pytest.raises(MigrationError, match="002_create_revisions_table was changed after"):
        migrate.up(one.migrator)
    with pytest.raises(MigrationError, match="002_create_revisions_table was changed after"):
        migrate.down(one.migrator, to=0)


def test_a_database_newer_than_the_release_is_refused(one: Database) -> None:
    """An older release does not touch what it does not know."""
    migrate.up(one.migrator)
    with psycopg.connect(one.migrator, autocommit=True) as connection:
        connection.execute("insert into lift_private.migrations values (999, '999_later', repeat('a', 64))")
    with pytest.raises(MigrationError, match="the database is at migration 999"):
        migrate.up(one.migrator)


def test_a_failing_migration_leaves_nothing_of_itself(one: Database) -> None:
    """The file is rolled back with its entry; the files before it stay, and once the cause is mended up goes on."""
    migrate.up(one.migrator, to=3)
    with psycopg.connect(one.migrator, autocommit=True) as connection:
        # its index comes last in 004, so that the file fails when its table is made
        connection.execute("create table lift.hole_resolutions_hole ()")
        with pytest.raises(MigrationError, match=r"004_create_resolutions_table failed: .*already exists"):
            migrate.up(one.migrator)
        assert not [line for line in describe(one.migrator) if "relation lift.hole_resolutions kind" in line]
        assert [s.state for s in migrate.status(one.migrator)][:4] == ["applied"] * 3 + ["pending"]
        connection.execute("drop table lift.hole_resolutions_hole")
    assert migrate.up(one.migrator) == [m.name for m in shipped()[3:]]


def run_up(database: Database) -> subprocess.Popen[str]:
    """Start `up` in a process of its own; it prints how many migrations it applied."""
    code = f"from lift_store.schema import migrate; print(len(migrate.up({database.migrator!r})))"
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_two_runners_at_once_apply_each_migration_once(one: Database) -> None:
    """Four processes start together; together they apply what one would have, and none fails."""
    runners = [run_up(one) for _ in range(4)]
    counts = [int(runner.communicate(timeout=60)[0]) for runner in runners]
    assert [runner.returncode for runner in runners] == [0] * 4
    assert len(shipped()) == sum(counts)


def test_a_killed_runner_leaves_no_lock_and_no_half_migration(one: Database) -> None:
    """Kill -9 in the middle of a file: the next run starts from whole migrations."""
    migrate.up(one.migrator, to=3)
    with psycopg.connect(one.admin, autocommit=True) as connection, connection.transaction():
        connection.execute("lock table lift.sessions")  # 004 refers to it, and waits
        runner = run_up(one)
        waiting = "select from pg_locks l where l.relation = 'lift.sessions'::regclass and not l.granted"
        for _ in range(400):
            if connection.execute(waiting).rowcount:
                break
            time.sleep(0.05)  # until the child is inside its migration
        else:
            pytest.fail("the runner never began its migration")
        runner.kill()
        runner.communicate()
    assert migrate.up(one.migrator) == [m.name for m in shipped()[3:]]


def test_bootstrap_leaves_what_exists_as_it_is(one: Database) -> None:
    """On a Supabase, auth.uid() and the roles are Supabase's own: not replaced, not altered, not granted."""
    with psycopg.connect(one.admin, autocommit=True) as connection:
        connection.execute("create schema auth")
        connection.execute("create function auth.uid() returns uuid language sql stable as 'select null::uuid /* Supabase''s own */'")
        look = "select prosrc, proacl, proowner from pg_proc where oid = 'auth.uid()'::regprocedure"
        roles = "select array_agg(r::text order by rolname) from pg_roles r where rolname in ('anon', 'authenticated', 'service_role')"
        schema = "select nspacl from pg_namespace where nspname = 'auth'"
        before = [connection.execute(q.encode()).fetchone() for q in (look, roles, schema)]
        psql(one.admin, MIGRATIONS / "bootstrap" / "plain_postgres.sql")
        assert before == [connection.execute(q.encode()).fetchone() for q in (look, roles, schema)]


def test_the_migrating_role_and_the_owner_have_no_special_power(empty: Database) -> None:
    """Neither is superuser or BYPASSRLS, and the owner cannot log in."""
    migrate.up(empty.migrator)
    with psycopg.connect(empty.admin, autocommit=True) as connection:
        rows = connection.execute(
            "select rolname, rolsuper, rolbypassrls, rolcanlogin from pg_roles where rolname in ('lift_migrator', 'lift_owner') order by 1"
        ).fetchall()
    assert rows == [("lift_migrator", False, False, True), ("lift_owner", False, False, False)]


def test_files_are_named_by_order_and_each_has_its_way_back() -> None:
    """001 onwards without a gap; down/ holds the same names; the names of the contract come first."""
    names = sorted(path.name for path in MIGRATIONS.glob("*.sql"))
    assert names == sorted(path.name for path in (MIGRATIONS / "down").glob("*.sql"))
    assert list(range(1, len(names) + 1)) == [int(name[:3]) for name in names]
    assert names[:7] == [
        "001_create_sessions_table.sql",
        "002_create_revisions_table.sql",
        "003_create_drafts_table.sql",
        "004_create_resolutions_table.sql",
        "005_create_rls_policies.sql",
        "006_create_triggers.sql",
        "007_create_views.sql",
    ]


def test_a_database_that_cannot_be_reached_is_one_clear_error() -> None:
    """The message holds no password."""
    with pytest.raises(MigrationError) as caught:
        migrate.status("host=127.0.0.1 port=1 user=x password=hush dbname=y")
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)
