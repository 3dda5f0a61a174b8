"""The schema: what is not there, what was changed, what was opened. Each fault is real, and its statements mend it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module

import psycopg
import pytest

from lift_store.doctor import State
from lift_store.local.postgres import LocalPostgres
from lift_store.schema import migrate
from lift_store.schema.files import shipped
from tests.integration.doctor.conftest import Patient
from tests.servers import BINARIES, Database, empty_database, migrated_database

# what these look at is the same in each version; that the queries run on each, test_logins shows
pytestmark = pytest.mark.parametrize("any_server", [max(BINARIES)], indirect=True)
SetUp = Callable[[Database], Patient]
DEPENDENT = ("functions", "strangers", "row_security")


async def states(patient: Patient) -> dict[str, State]:
    """Return the state of each check that found one thing."""
    return {finding.name: finding.state for finding in (await patient.report()).findings}


async def test_a_database_without_migrations(any_server: LocalPostgres, set_up: SetUp) -> None:
    """What they would make is not checked; after `migrate up`, all is well."""
    migrated_database(any_server)  # for the logins
    empty = set_up(empty_database(any_server))
    found = await empty.one("migrations")
    assert State.FAIL is found.state
    assert f"{len(shipped())} of {len(shipped())} migrations are pending" in found.found
    assert "lift-store migrate up" in found.mend
    seen = await states(empty)
    assert {State.SKIP} == {seen[name] for name in ("schema", *DEPENDENT)}
    migrate.up(empty.database.migrator)
    seen = await states(empty)
    assert {State.OK} == {seen[name] for name in ("migrations", "schema", *DEPENDENT)}


@pytest.mark.parametrize("version", [4, 8])
async def test_a_database_with_some_migrations(any_server: LocalPostgres, set_up: SetUp, version: int) -> None:
    """The first that is missing is named; tables that are yet without row-level security are no false alarm."""
    migrated_database(any_server)
    part = set_up(empty_database(any_server))
    migrate.up(part.database.migrator, to=version)
    found = await part.one("migrations")
    assert State.FAIL is found.state
    assert f"from {shipped()[version].name}" in found.found
    seen = await states(part)
    assert {State.SKIP} == {seen[name] for name in ("schema", *DEPENDENT)}


async def test_a_changed_ledger(broken: Patient) -> None:
    """A migration was applied in another wording."""
    broken.run("update lift_private.migrations set sha256 = repeat('0', 64) where version = 3")
    found = await broken.one("migrations")
    assert State.FAIL is found.state
    assert shipped()[2].name in found.found


async def test_a_database_of_a_newer_release(broken: Patient) -> None:
    """It works, as it does during a rollout."""
    broken.run("insert into lift_private.migrations (version, name, sha256) values (999, '999_later', repeat('0', 64))")
    found = await broken.one("migrations")
    assert State.WARN is found.state
    assert "999" in found.found


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("drop function lift_private.session_get(jsonb, uuid, jsonb)", "lift_private.session_get: missing"),
        ("drop function public.session_delete(uuid, uuid, jsonb)", "public.session_delete: missing"),
    ],
)
async def test_a_missing_operation(broken: Patient, fault: str, says: str) -> None:
    """No statement brings it back; the migration that has it is named."""
    broken.run(fault)
    found = await broken.one("functions")
    assert (found.state, found.sql) == (State.FAIL, ())
    assert says in found.found
    assert "migrations/00" in found.mend
    assert State.WARN is (await broken.one("schema")).state


@pytest.mark.parametrize(
    "fault",
    [
        "revoke execute on function lift_private.session_get(jsonb, uuid, jsonb) from lift_app",
        "revoke execute on function public.session_get(uuid, jsonb) from authenticated",
        "revoke execute on function lift.caller() from authenticated",
        "revoke execute on function lift_hooks.answer_operation(uuid, jsonb) from authenticated",
        "revoke usage on schema lift_private from lift_app",
        "revoke usage on schema lift_hooks from authenticated",
        "alter function public.session_get(uuid, jsonb) security definer",
        "alter function lift_private.session_get(jsonb, uuid, jsonb) security definer reset role",
        "alter function public.session_get(uuid, jsonb) reset search_path",
        "alter function lift.caller() set search_path = public",
        "alter function lift_private.session_get(jsonb, uuid, jsonb) set role = 'lift_owner'",
    ],
)
async def test_an_operation_that_was_altered(broken: Patient, fault: str) -> None:
    """Closed to whom it is for, or not pinned as it was made; mended, the schema is again exactly that of the migrations."""
    broken.run(fault)
    assert State.WARN is (await broken.one("schema")).state
    await broken.mended("functions")
    assert State.OK is (await broken.one("schema")).state


@pytest.mark.parametrize(
    "fault",
    [
        "grant execute on function public.session_get(uuid, jsonb) to public",
        "grant execute on function lift_private.session_get(jsonb, uuid, jsonb) to public",
        "grant execute on function public.session_get(uuid, jsonb), lift.caller() to anon, public",
        "grant execute on all functions in schema lift_private to public",
    ],
)
async def test_an_operation_for_everybody(broken: Patient, fault: str) -> None:
    """PUBLIC is everybody, anon whoever has not signed in."""
    broken.run(fault)
    await broken.mended("strangers")
    assert State.OK is (await broken.one("schema")).state


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("alter table lift.sessions disable row level security", "lift.sessions: row-level security is not enabled"),
        ("alter table lift.session_drafts no force row level security", "lift.session_drafts: row-level security is not forced"),
        ("alter table lift.hole_resolutions disable row level security, no force row level security", "not enabled and not forced"),
        ("alter table lift_private.operations disable row level security", "lift_private.operations"),
        ("alter view public.session_summary reset (security_invoker)", "session_summary"),
        ("alter view public.user_analytics set (security_invoker = false)", "user_analytics"),
    ],
)
async def test_row_security_switched_off(broken: Patient, fault: str, says: str) -> None:
    """On any table or view of ours."""
    broken.run(fault)
    assert says in await broken.mended("row_security")
    assert State.OK is (await broken.one("schema")).state


async def test_an_owner_whom_no_policy_holds(patient: Patient) -> None:
    """Triggers and helpers run as lift_owner."""
    patient.run("alter role lift_owner bypassrls login")
    try:
        assert "BYPASSRLS, LOGIN" in await patient.mended("row_security")
    finally:
        patient.run("alter role lift_owner nobypassrls nologin")


async def test_a_missing_table(broken: Patient) -> None:
    """Data is gone with it."""
    broken.run("drop table lift.hole_resolutions cascade")
    found = await broken.one("row_security")
    assert State.FAIL is found.state
    assert "lift.hole_resolutions: missing" in found.found


@pytest.mark.parametrize(
    "fault",
    [
        "alter policy sessions_select_own on lift.sessions using (true)",
        "create policy more on lift.session_drafts for select to authenticated using (true)",
        "grant update on lift.session_revisions to authenticated",
        "drop trigger sessions_touch on lift.sessions",
        "create index more on lift.sessions (status)",
    ],
)
async def test_what_only_the_fingerprint_shows(broken: Patient, fault: str) -> None:
    """Every change by hand is noticed, a policy that shows everything too."""
    broken.run(fault)
    assert State.WARN is (await broken.one("schema")).state


async def test_a_locked_ledger_does_not_hold_the_others_up(broken: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check has its time, then the next has its own."""
    monkeypatch.setattr(import_module("lift_store.doctor.examine"), "LIMIT", 0.5)  # the package's `examine` is the function
    async with await psycopg.AsyncConnection.connect(broken.database.admin) as connection:
        await connection.execute("lock table lift_private.migrations")
        seen = {finding.name: finding for finding in (await broken.report()).findings}
    assert (seen["migrations"].state, seen["migrations"].found) == (State.FAIL, "no answer in time")
    assert {State.OK} == {seen[name].state for name in ("user.membership", "operator.membership")}


async def test_nothing_is_changed_by_looking(broken: Patient) -> None:
    """Neither the schema nor what is in it, nor roles; the session reads only."""
    with psycopg.connect(broken.database.admin, autocommit=True) as connection:

        def written() -> tuple[object, ...] | None:
            query = "select xact_commit, tup_inserted + tup_updated + tup_deleted from pg_stat_database where datname = current_database()"
            connection.execute("select pg_stat_clear_snapshot()")
            return connection.execute(query).fetchone()

        await asyncio.sleep(1)  # statistics of earlier sessions arrive when these have ended
        before = written()
        await broken.report()
        await asyncio.sleep(1)
        after = written()
    assert before is not None
    assert after is not None
    assert before[1] == after[1]
