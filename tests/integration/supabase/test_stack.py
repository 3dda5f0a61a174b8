"""The stack that the Supabase tests run on: that it answers as a project does, and that it left the schema as migrated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from lift_store import Principal
from lift_store.local.postgres import LocalPostgres
from lift_store.schema import migrate
from tests.servers import Database, migrated_database
from tests.supabase import SupabaseProject, lite

SESSION = {"revisions": [{"content": "def add(a, b):", "revision_type": "initial"}]}
Rpc = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def rpc(supabase: SupabaseProject) -> Iterator[Rpc]:
    """Call an operation by a POST of its arguments, as a user or as nobody."""
    with httpx.Client(base_url=f"{supabase.url}/rest/v1/rpc/", timeout=10) as client:

        def call(operation: str, caller: Principal | None, **arguments: Any) -> httpx.Response:
            headers = supabase.headers(caller.user_id) if caller else {"apikey": supabase.key}
            return client.post(f"session_{operation}", json=arguments, headers=headers)

        yield call


def test_a_user_reads_what_they_created_and_nobody_else_does(rpc: Rpc, alice: Principal, bob: Principal) -> None:
    """Over HTTP, under each one's own token; a hidden session answers as one that never was, byte for byte."""
    created = rpc("create", alice, session=SESSION).json()["session"]
    assert (created["user_id"], created["revision_count"]) == (str(alice.user_id), 1)
    found = rpc("get", alice, session_id=created["session_id"])
    assert (found.status_code, found.json()["revisions"][0]["content"]) == (200, "def add(a, b):")
    hidden, missing = (rpc("get", bob, session_id=session) for session in (created["session_id"], str(uuid4())))
    assert (hidden.status_code, hidden.content) == (missing.status_code, missing.content)
    assert (hidden.status_code, hidden.json()) == (200, None)


def test_arguments_are_the_json_that_was_sent(rpc: Rpc, alice: Principal) -> None:
    """Objects and arrays within them, and not a string of theirs."""
    created = rpc("create", alice, session={"metadata": {"a": [1, {"b": None}]}}).json()["session"]
    rpc("add_draft", alice, session_id=created["session_id"], draft={"ir": {"steps": ["x"]}, "ambiguities": ["which?"]})
    found = rpc("get", alice, session_id=created["session_id"]).json()
    assert found["metadata"] == {"a": [1, {"b": None}]}
    assert (found["ir_drafts"][0]["ir"], found["ir_drafts"][0]["ambiguities"]) == ({"steps": ["x"]}, ["which?"])


def test_lists_have_the_callers_sessions_only(rpc: Rpc, alice: Principal, bob: Principal) -> None:
    """Newest first, page by page."""
    made = [rpc("create", alice, session=SESSION).json()["session"]["session_id"] for _ in range(3)]
    first = rpc("list_all", alice, max_items=2).json()
    second = rpc("list_all", alice, max_items=2, cursor=first["next_cursor"]).json()
    assert [item["session_id"] for item in first["items"] + second["items"]] == made[::-1]
    assert rpc("list_active", bob).json() == {"items": [], "next_cursor": None}


def test_anon_is_refused_by_the_database(rpc: Rpc) -> None:
    """With the key alone: the privilege is missing, whatever Lite has granted."""
    refused = rpc("list_active", None)
    assert (refused.status_code, refused.json()["code"]) == (401, "42501")
    assert "permission denied for function" in refused.json()["message"]


def test_an_expired_token_is_refused(supabase: SupabaseProject, alice: Principal) -> None:
    """Before the database sees it."""
    headers = {"apikey": supabase.key, "Authorization": f"Bearer {supabase.token(alice.user_id, lifetime=timedelta(minutes=-5))}"}
    refused = httpx.post(f"{supabase.url}/rest/v1/rpc/session_list_active", json={}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (401, "PGRST303")


def test_a_conflict_arrives_with_all_that_it_says(rpc: Rpc, alice: Principal) -> None:
    """Code, message, hint and details, as our functions raise them."""
    created = rpc("create", alice, session=SESSION).json()["session"]
    stale = rpc("update", alice, session_id=created["session_id"], version=77, status="paused", metadata=None)
    assert stale.status_code == 409
    assert stale.json() == {
        "code": "PT409",
        "message": "the session is at version 2, not 77; read it again",
        "hint": "stale_version",
        "details": '{"actual_version": 2}',
    }


def described(database: Database) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Look at our schema from outside, and at what roles other than Lite's give away of what they make."""
    with psycopg.connect(database.admin, autocommit=True, options="-c search_path=") as connection:
        others = "select * from pg_catalog.pg_default_acl where defaclrole::regrole::text not like 'supabase_lite%'"
        return migrate.describe(connection), connection.execute(others).fetchall()


def test_lite_leaves_every_privilege_as_migrated(server: LocalPostgres) -> None:
    """It tries to grant everything to everybody, as its log says, and the database gives it nothing to grant."""
    database = migrated_database(server)
    before = described(database)
    with lite(database) as running:
        assert 'no privileges were granted for "sessions"' in running.log.read_text()
        assert described(database) == before
    with psycopg.connect(database.admin, autocommit=True) as connection:
        for role in ("anon", "service_role"):
            query = "select has_schema_privilege(%s, 'lift', 'usage') or has_table_privilege(%s, 'lift.sessions', 'select')"
            assert connection.execute(query, [role, role]).fetchone() == (False,)


def test_a_database_that_lite_has_been_on_still_migrates(server: LocalPostgres) -> None:
    """Schema auth is Lite's then, and policies go on naming auth.uid(): all the way down and up again, by the same login as before."""
    database = migrated_database(server)
    before = described(database)
    with lite(database):
        pass
    migrate.down(database.migrator, to=0)
    migrate.up(database.migrator)
    assert described(database) == before
