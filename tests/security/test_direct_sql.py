"""Direct SQL as another user, as anon, as the login itself: nothing of somebody else's is read, changed or deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors, sql

from lift_store import (
    HoleResolution,
    IRDraft,
    NewSession,
    PostgresSessionStore,
    Principal,
    PromptRevision,
    PromptSession,
)
from tests.servers import Database

TABLES = ("sessions", "session_revisions", "session_drafts", "hole_resolutions")
VIEWS = ("session_summary", "user_analytics", "recent_activity", "draft_validation_stats")
OPERATIONS = (
    "session_create",
    "session_get",
    "session_update",
    "session_delete",
    "session_list_active",
    "session_list_all",
    "session_add_revision",
    "session_add_draft",
    "session_add_resolution",
)


def become(connection: psycopg.Connection, role: str, principal: Principal | None) -> None:
    """Take on a role and claims for the session, as PostgREST does for a request."""
    connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
    connection.execute("select set_config('request.jwt.claims', %s, false)", [principal.claims_json if principal else ""])


@pytest.fixture
def sql_as_bob(database: Database, bob: Principal) -> Iterator[psycopg.Connection]:
    """A connection that is authenticated as bob, free to send any SQL."""
    with psycopg.connect(database.admin, autocommit=True) as connection:
        become(connection, "authenticated", bob)
        yield connection


@pytest.fixture
def sql_as_anon(database: Database) -> Iterator[psycopg.Connection]:
    """A connection that is anon."""
    with psycopg.connect(database.admin, autocommit=True) as connection:
        become(connection, "anon", None)
        yield connection


@pytest.fixture
async def hers(postgres: PostgresSessionStore, alice: Principal) -> PromptSession:
    """Alice's session, with a row in every table."""
    sessions = postgres.as_user(alice)
    summary = await sessions.create(
        NewSession(
            revisions=(PromptRevision(content="hers"),),
            ir_drafts=(IRDraft(ir={"hers": True}),),
            pending_resolutions=(HoleResolution(hole_id="h", resolution_text="hers"),),
        )
    )
    session = await sessions.get(summary.session_id)
    assert session is not None
    return session


@pytest.mark.usefixtures("hers")
@pytest.mark.parametrize("table", TABLES)
def test_another_user_reads_changes_and_deletes_nothing(sql_as_bob: psycopg.Connection, table: str) -> None:
    """Reads are empty; writes touch no row, or are not granted at all."""
    name = sql.Identifier("lift", table)
    assert sql_as_bob.execute(sql.SQL("select * from {}").format(name)).fetchall() == []
    assert sql_as_bob.execute(sql.SQL("select count(*) from {}").format(name)).fetchone() == (0,)
    for statement in ("update {} set metadata = '{{}}'", "delete from {}"):
        try:
            assert sql_as_bob.execute(sql.SQL(statement).format(name)).rowcount == 0
        except errors.InsufficientPrivilege:
            assert table != "sessions"  # history is only ever added to


@pytest.mark.usefixtures("hers")
@pytest.mark.parametrize("view", VIEWS)
def test_another_user_sees_nothing_in_the_views(sql_as_bob: psycopg.Connection, view: str) -> None:
    """Views answer with the caller's rights."""
    assert sql_as_bob.execute(sql.SQL("select * from public.{}").format(sql.Identifier(view))).fetchall() == []


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("sessions", {}),
        ("session_revisions", {"content": "x"}),
        ("session_drafts", {"ir": "{}"}),
        ("hole_resolutions", {"hole_id": "h", "resolution_text": "x"}),
    ],
)
def test_nobody_inserts_into_somebody_elses_name(
    sql_as_bob: psycopg.Connection, hers: PromptSession, table: str, columns: dict[str, Any]
) -> None:
    """An insert under alice's user id is refused, alike for a session of hers and for one that does not exist."""
    refusals = []
    for session_id in (hers.session_id, uuid4()):
        row = {"user_id": hers.user_id, "session_id": session_id, **columns}
        statement = sql.SQL("insert into {} ({}) values ({})").format(
            sql.Identifier("lift", table),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(map(sql.Placeholder, row)),
        )
        with pytest.raises(errors.InsufficientPrivilege, match="row-level security") as caught:
            sql_as_bob.execute(statement, row)
        refusals.append(str(caught.value))
    assert refusals[0] == refusals[1]


@pytest.mark.parametrize(
    "statement",
    [
        "update lift.sessions set version = 1",
        "update lift.sessions set draft_count = 0",
        "update lift.sessions set user_id = %(victim)s",
        "update lift.sessions set session_id = gen_random_uuid()",
        "update lift.sessions set created_at = now(), finalized_at = now()",
        "insert into lift.sessions (user_id, version) values (auth.uid(), 9)",
        "insert into lift.sessions (user_id, status) values (auth.uid(), 'finalized')",
        "insert into lift.session_drafts (user_id, session_id, number, ir) values (auth.uid(), gen_random_uuid(), 1, '{}')",
        "update lift.session_drafts set ir = '{}'",
        "delete from lift.session_revisions",
        "truncate lift.sessions cascade",
        "select * from lift_private.operations",
        "select * from lift_private.migrations",
        "select * from lift_private.session_tally",
        "select lift_private.actor()",
        "select lift_private.session_get('{}', gen_random_uuid(), null)",
        "alter table lift.sessions disable row level security",
        "create policy mine on lift.sessions using (true)",
        "create table lift.mine ()",
        "set role lift_owner",
    ],
)
def test_a_user_cannot_forge_what_the_database_assigns(database: Database, hers: PromptSession, bob: Principal, statement: str) -> None:
    """Versions, numbers, counts, owners and times of one's own rows are not the caller's to set; nor is the schema."""
    # by the user path's own login, which has only the rights that a user has
    with psycopg.connect(database.app, autocommit=True) as connection:
        become(connection, "authenticated", bob)
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(statement.encode(), {"victim": hers.user_id} if "%(" in statement else None)


@pytest.mark.parametrize("name", [*(f"lift.{t}" for t in TABLES), *(f"public.{v}" for v in VIEWS)])
def test_anon_reads_nothing_at_all(sql_as_anon: psycopg.Connection, name: str) -> None:
    """Not even an empty answer: anon holds no grant."""
    with pytest.raises(errors.InsufficientPrivilege):
        sql_as_anon.execute(sql.SQL("select * from {}").format(sql.Identifier(*name.split("."))))


def test_anon_calls_no_function(sql_as_anon: psycopg.Connection) -> None:
    """None of the operations, none of the helpers."""
    row = sql_as_anon.execute(
        "select array_agg(p.oid::regprocedure::text) from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
        " where (n.nspname like 'lift%' or n.nspname = 'public') and has_function_privilege('anon', p.oid, 'execute')"
    ).fetchone()
    assert row == (None,)
    with pytest.raises(errors.InsufficientPrivilege):
        sql_as_anon.execute("select public.session_get(gen_random_uuid())")


def test_no_function_is_anybodys(database: Database) -> None:
    """EXECUTE is revoked from PUBLIC on each function, and none that the API exposes is SECURITY DEFINER."""
    with psycopg.connect(database.admin) as connection:
        public = connection.execute(
            "select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace,"
            " aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a"
            " where (n.nspname like 'lift%' or n.nspname = 'public') and a.grantee = 0"
        ).fetchall()
        definer = connection.execute(
            "select p.oid::regprocedure::text from pg_proc p where p.pronamespace = 'public'::regnamespace"
            " and p.proname like 'session\\_%' and p.prosecdef"
        ).fetchall()
    assert (public, definer) == ([], [])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_user_without_identity_is_refused(database: Database, operation: str) -> None:
    """Role authenticated with empty claims, or with claims without a subject: no identity, no row."""
    for claims in (None, "{}", '{"role": "authenticated"}', '{"sub": null}'):
        with psycopg.connect(database.app, autocommit=True) as connection:
            row = connection.execute(
                "select pronargs from pg_proc where proname = %s and pronamespace = 'lift_private'::regnamespace",
                [operation],
            ).fetchone()
            assert row is not None
            arguments = sql.SQL(", ").join([sql.Literal(claims), *[sql.NULL] * (row[0] - 1)])
            with pytest.raises(psycopg.Error) as caught:
                connection.execute(sql.SQL("select lift_private.{}({})").format(sql.Identifier(operation), arguments))
            assert caught.value.sqlstate == "PT401"


@pytest.mark.usefixtures("hers")
def test_the_login_itself_reads_nothing(database: Database) -> None:
    """Without taking on a user, the user path's login has no right on any table or view."""
    with psycopg.connect(database.app, autocommit=True) as connection:
        for name in (*(("lift", t) for t in TABLES), *(("public", v) for v in VIEWS), ("lift_private", "operations")):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(sql.SQL("select * from {}").format(sql.Identifier(*name)))


def test_the_login_can_become_anon_and_authenticated_only(database: Database) -> None:
    """Of all roles of the server, besides its own group."""
    with psycopg.connect(database.app, autocommit=True) as connection:
        roles = connection.execute(
            "select rolname from pg_roles where pg_has_role(session_user, oid, 'member') and rolname <> session_user order by 1"
        ).fetchall()
    assert [name for (name,) in roles] == ["anon", "authenticated", "lift_app"]


def claims(principal: Principal) -> str:
    """The claims as the store sends them."""
    return principal.claims_json


def assert_nothing_is_left(connection: psycopg.Connection) -> None:
    """The login is itself again, without claims."""
    row = connection.execute(
        "select current_user = session_user, current_setting('request.jwt.claims', true), current_setting('request.jwt.claim.sub', true)"
    ).fetchone()
    assert row is not None
    assert (row[0], row[1] or "", row[2] or "") == (True, "", "")


def test_identity_does_not_outlive_the_function(database: Database, hers: PromptSession, alice: Principal) -> None:
    """Neither role nor claims are left: in autocommit, inside an open transaction, after an error, in a pipeline."""
    get = "select lift_private.session_get(%s, %s, null)"
    with psycopg.connect(database.app, autocommit=True) as connection:
        connection.execute(get, [claims(alice), hers.session_id])
        assert_nothing_is_left(connection)
        with connection.transaction():
            connection.execute(get, [claims(alice), hers.session_id])
            assert_nothing_is_left(connection)
        with connection.transaction():
            with pytest.raises(psycopg.Error), connection.transaction():
                connection.execute("select lift_private.session_list_all(%s, null, 0, null, null)", [claims(alice)])
            assert_nothing_is_left(connection)
        with connection.pipeline():
            connection.execute(get, [claims(alice), hers.session_id])
            left = connection.execute("select current_user = session_user, current_setting('request.jwt.claims', true)")
            assert left.fetchone() == (True, "")
        assert_nothing_is_left(connection)


def test_a_pipeline_of_users_never_mixes_them(database: Database, hers: PromptSession, alice: Principal) -> None:
    """Statements of many users, sent without waiting: each sees its own."""
    users = [alice if n % 2 else Principal(uuid4()) for n in range(40)]
    with psycopg.connect(database.app, autocommit=True) as connection, connection.pipeline():
        cursors = [connection.execute("select lift_private.session_get(%s, %s, null)", [claims(user), hers.session_id]) for user in users]
        for user, cursor in zip(users, cursors, strict=True):
            row = cursor.fetchone()
            assert row is not None
            assert (str(alice.user_id) if user is alice else None) == (row[0] and row[0]["user_id"])


def test_claims_left_behind_by_somebody_are_not_used(database: Database, hers: PromptSession, bob: Principal) -> None:
    """Claims of another user already on the connection make no difference."""
    with psycopg.connect(database.app, autocommit=True) as connection:
        for setting, value in (
            ("request.jwt.claims", json.dumps({"sub": str(hers.user_id)})),
            ("request.jwt.claim.sub", str(hers.user_id)),
        ):
            connection.execute("select set_config(%s, %s, false)", [setting, value])
        row = connection.execute("select lift_private.session_get(%s, %s, null)", [claims(bob), hers.session_id]).fetchone()
    assert row == (None,)


def test_a_read_only_transaction_is_refused_alike_for_every_id(sql_as_bob: psycopg.Connection, hers: PromptSession) -> None:
    """Before any row is touched, so that the refusal tells nothing."""
    refusals = set()
    for session_id in (hers.session_id, uuid4()):
        with sql_as_bob.transaction():
            sql_as_bob.execute("set transaction read only")
            with pytest.raises(errors.ReadOnlySqlTransaction) as caught, sql_as_bob.transaction():
                sql_as_bob.execute("select public.session_get(%s)", [session_id])
            refusals.add(str(caught.value))
    assert len(refusals) == 1


def test_a_name_on_the_search_path_is_not_taken_for_ours(database: Database, alice: Principal) -> None:
    """Objects of the same name in a schema of the caller's own do not get between."""
    with psycopg.connect(database.admin, autocommit=True) as connection:
        connection.execute("create schema if not exists trap; grant usage on schema trap to authenticated")
        connection.execute("create or replace function trap.now() returns timestamptz language sql as 'select null::timestamptz'")
        connection.execute("set search_path = trap, pg_catalog")
        become(connection, "authenticated", alice)
        row = connection.execute("select public.session_create('{}')").fetchone()
    assert row is not None
    assert row[0]["session"]["created_at"] is not None


@pytest.mark.usefixtures("hers")
def test_the_operator_reads_no_session(database: Database) -> None:
    """Operators see figures and the ledger, not what users wrote."""
    with psycopg.connect(database.operator, autocommit=True) as connection:
        assert connection.execute("select sum(sessions) from lift_private.session_tally").fetchone()
        for name in (*(("lift", t) for t in TABLES), ("lift_private", "operations")):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(sql.SQL("select * from {}").format(sql.Identifier(*name)))
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("select lift_private.session_get('{}', %s, null)", [UUID(int=1)])
