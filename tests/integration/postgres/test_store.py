"""What only the database can get wrong: concurrency, plans, tallies, faults, and what the metrics say of them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine
from uuid import UUID, uuid4

import psycopg
import pytest
from prometheus_client import CollectorRegistry
from psycopg.conninfo import make_conninfo

from lift_store import (
    DeadlineError,
    HoleResolution,
    InternalError,
    InvalidError,
    IRDraft,
    NewSession,
    PostgresSessionStore,
    Principal,
    PromptRevision,
    SaturatedError,
    SessionStatus,
    StoreError,
    UnavailableError,
    UserSessions,
)
from lift_store.context import request_id
from lift_store.errors import ConflictError, InvalidStateError, NotFoundError
from lift_store.local.postgres import LocalPostgres
from lift_store.observability import Observability, observe_on
from lift_store.protocol import Backend
from tests.servers import PASSWORD, Database, empty_database, migrated_database


def any_write(sessions: UserSessions, session_id: UUID, rng: random.Random) -> Coroutine[object, object, object]:
    """Choose one write to a session that may be there, or not, or closed."""
    match rng.randrange(6):
        case 0:
            new = NewSession(session_id=session_id, revisions=(PromptRevision(content="a"),), ir_drafts=(IRDraft(ir={}),))
            return sessions.create(new)
        case 1:
            return sessions.add_draft(session_id, IRDraft(ir={"a": 1}))
        case 2:
            return sessions.add_revision(session_id, PromptRevision(content="b"))
        case 3:
            return sessions.add_resolution(session_id, HoleResolution(hole_id="h", resolution_text="c"))
        case 4:
            return sessions.update(session_id, version=rng.randint(1, 9), status=rng.choice(list(SessionStatus)))
        case _:
            return sessions.delete(session_id)


async def write_at_random(store: PostgresSessionStore, users: list[Principal], until: float, seed: int) -> Counter[str]:
    """Do whatever comes to a few shared sessions until the loop's clock says *until*; count how it ended."""
    rng, ends = random.Random(seed), Counter[str]()  # noqa: S311 - repeatable on purpose
    ids = [UUID(int=n) for n in range(3)]
    while asyncio.get_running_loop().time() < until:
        try:
            await any_write(store.as_user(rng.choice(users)), rng.choice(ids), rng)
            ends["ok"] += 1
        except (NotFoundError, ConflictError, InvalidStateError) as error:
            ends[error.outcome] += 1
    return ends


@pytest.mark.parametrize("seconds", [10, pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(180)])])
async def test_mixed_writers_never_deadlock(server: LocalPostgres, seconds: int) -> None:
    """Sixteen writers of nine sessions, every kind of write: no error but the callers' own, and every tally right afterwards."""
    database = migrated_database(server)
    users = [Principal(uuid4()) for _ in range(3)]
    observability = observe_on(CollectorRegistry(), Backend.POSTGRES)
    async with PostgresSessionStore(database.app, max_size=16, observability=observability) as store:
        until = asyncio.get_running_loop().time() + seconds
        ends = sum(await asyncio.gather(*(write_at_random(store, users, until, seed) for seed in range(16))), Counter[str]())
    assert ends["ok"] > 100 * seconds / 10
    with psycopg.connect(database.admin) as connection:
        deadlocks = connection.execute("select deadlocks from pg_stat_database where datname = current_database()").fetchone()
        assert deadlocks == (0,)
        wrong = connection.execute(
            """
            select s.session_id from lift.sessions s
            where (s.revision_count, s.draft_count, s.resolution_count) is distinct from (
                (select count(*) from lift.session_revisions c where (c.user_id, c.session_id) = (s.user_id, s.session_id)),
                (select count(*) from lift.session_drafts c where (c.user_id, c.session_id) = (s.user_id, s.session_id)),
                (select count(*) from lift.hole_resolutions c where (c.user_id, c.session_id) = (s.user_id, s.session_id)))
              or s.draft_count is distinct from
                (select coalesce(max(number), 0) from lift.session_drafts c where (c.user_id, c.session_id) = (s.user_id, s.session_id))
            """
        ).fetchall()
        assert wrong == []
        tally = connection.execute("select status, sum(sessions) from lift_private.session_tally group by 1 having sum(sessions) <> 0")
        counted = connection.execute("select status, count(*) from lift.sessions group by 1")
        assert dict(counted.fetchall()) == {status: int(n) for status, n in tally.fetchall()}


@pytest.mark.parametrize(("status", "index"), [(None, "sessions_newest"), ("active", "sessions_newest_by_status")])
def test_lists_read_the_index_in_their_order(database: Database, status: str | None, index: str) -> None:
    """A page of a user with many sessions touches as many index entries as it has rows, whatever the number of sessions."""
    user = uuid4()
    with psycopg.connect(database.admin, autocommit=True) as connection:
        connection.execute(
            "insert into lift.sessions (user_id, status, created_at) select %s, case when n %% 10 = 0 then 'active' else 'paused' end,"
            " now() - n * interval '1 minute' from generate_series(1, 2000) n",
            [user],
        )
        connection.execute("analyze lift.sessions")

        def figures() -> tuple[int, int]:
            connection.execute("select pg_stat_force_next_flush()")
            row = connection.execute(
                "select i.idx_tup_read, t.seq_scan from pg_stat_user_indexes i join pg_stat_user_tables t using (relid)"
                " where i.indexrelname = %s",
                [index],
            ).fetchone()
            assert row is not None
            return row

        before = figures()
        for _ in range(10):  # past the plans made for particular values, to the one that is kept
            connection.execute("select lift.page(%s, %s, 50, null)", [user, status])
        after = figures()
        connection.execute("delete from lift.sessions where user_id = %s", [user])
    assert (after[0] - before[0], after[1] - before[1]) == (510, 0)


async def test_the_schema_state_is_that_of_the_ledger(server: LocalPostgres, postgres: PostgresSessionStore) -> None:
    """All applied on a migrated database; InternalError that says what to run on one without our schema."""
    state = await postgres.schema_state()
    assert (state.pending, state.changed) == (0, 0)
    assert state.applied > 0
    empty = empty_database(server)
    async with PostgresSessionStore(empty.migrator, observability=observe_on(CollectorRegistry(), Backend.POSTGRES)) as store:
        with pytest.raises(InternalError, match="lift-store migrate up"):
            await store.schema_state()
        with pytest.raises(InternalError, match="lift-store migrate up"):
            await store.as_user(Principal(uuid4())).get(uuid4())


async def test_a_store_whose_login_lacks_grants_is_our_own_fault(
    database: Database, observability: Observability, registry: CollectorRegistry, alice: Principal
) -> None:
    """The operator's login cannot enter as a user: `internal`, counted as a denial of kind grant."""
    async with PostgresSessionStore(database.operator, observability=observability) as store:
        with pytest.raises(InternalError, match="check the login's grants"):
            await store.as_user(alice).get(uuid4())
    labels = {"operation": "get", "kind": "grant"}
    assert registry.get_sample_value("lift_store_rls_denials_total", labels) == 1


async def test_text_that_postgres_cannot_hold_is_the_callers_fault(postgres: PostgresSessionStore, alice: Principal) -> None:
    """Even past the models' own checks, a NUL is `invalid`, and the message does not quote it."""
    smuggled = PromptRevision(content="innocent").model_copy(update={"content": "secret\x00"})
    session_id = (await postgres.as_user(alice).create(NewSession())).session_id
    with pytest.raises(InvalidError) as caught:
        await postgres.as_user(alice).add_revision(session_id, smuggled)
    assert "secret" not in str(caught.value)


async def test_a_full_pool_is_saturated_within_the_allowed_wait(
    database: Database, observability: Observability, registry: CollectorRegistry, alice: Principal
) -> None:
    """Callers wait at most acquire_timeout, callers beyond max_waiting not at all; metrics show it, and it passes by itself."""
    async with PostgresSessionStore(database.app, observability=observability, max_size=1, acquire_timeout=0.2, max_waiting=1) as store:
        await store.ping()
        hold = asyncio.create_task(store.fetch_one("select pg_sleep(1)"))
        await asyncio.sleep(0.05)  # until the statement is on its way
        results = await asyncio.gather(*(store.as_user(alice).get(uuid4()) for _ in range(3)), return_exceptions=True)
        assert [SaturatedError] * 3 == [type(r) for r in results]
        snapshot = store.pool_snapshot()
        assert (snapshot.max, snapshot.in_use, snapshot.idle, snapshot.pending) == (1, 1, 0, 0)
        await hold
        assert await store.as_user(alice).get(uuid4()) is None
        assert registry.get_sample_value("lift_store_pool_timeouts_total", {"pool": "postgres"}) == 1
        assert (
            registry.get_sample_value("lift_store_operations_total", {"backend": "postgres", "operation": "get", "outcome": "saturated"})
            == 3
        )
        assert registry.get_sample_value("lift_store_pool_acquire_duration_seconds_count", {"pool": "postgres"}) == 6
        assert registry.get_sample_value("lift_store_pool_connections", {"pool": "postgres", "state": "idle"}) == 1
    assert registry.get_sample_value("lift_store_pool_connections_max", {"pool": "postgres"}) is None


async def test_an_operation_past_its_deadline_is_a_timeout(database: Database, observability: Observability) -> None:
    """The caller gets its answer within operation_timeout, and the connection is usable afterwards."""
    async with PostgresSessionStore(database.app, observability=observability, max_size=1, operation_timeout=0.3) as store:
        await store.ping()
        with pytest.raises(DeadlineError, match=r"within 0\.3 s"):
            await store.fetch_one("select pg_sleep(30)")
        await store.ping()
        assert store.pool_snapshot().in_use == 0


async def test_a_database_that_is_down_is_unavailable(observability: Observability) -> None:
    """Within the allowed wait, and the store opens all the same."""
    async with PostgresSessionStore("host=127.0.0.1 port=1 user=x dbname=y", observability=observability, acquire_timeout=0.3) as store:
        with pytest.raises(UnavailableError, match="no connection to the database within"):
            await store.ping()


async def test_a_store_that_is_not_open_says_so(database: Database, observability: Observability) -> None:
    """Before `async with` and after it."""
    store = PostgresSessionStore(database.app, observability=observability)
    with pytest.raises(UnavailableError, match="not open"):
        await store.ping()


async def test_a_connection_killed_in_mid_statement_is_unavailable_and_the_next_works(
    database: Database, observability: Observability
) -> None:
    """The backend dies under the statement: one error, then a new connection."""
    async with PostgresSessionStore(database.app, observability=observability, max_size=1) as store:
        pid = await store.fetch_one("select pg_backend_pid()")
        doomed = asyncio.create_task(store.fetch_one("select pg_sleep(30)"))
        await asyncio.sleep(0.1)  # until the statement is on its way
        with psycopg.connect(database.admin, autocommit=True) as connection:
            connection.execute("select pg_terminate_backend(%s)", [pid])
        with pytest.raises(UnavailableError):
            await doomed
        await store.ping()


async def test_a_connection_that_was_closed_while_idle_is_replaced(database: Database, observability: Observability) -> None:
    """Before a statement is sent: a write must not be lost in a connection that the server has left."""
    async with PostgresSessionStore(database.app, observability=observability, max_size=1) as store:
        pid = await store.fetch_one("select pg_backend_pid()")
        with psycopg.connect(database.admin, autocommit=True) as connection:
            connection.execute("select pg_terminate_backend(%s, 5000)", [pid])
        assert await store.fetch_one("select pg_backend_pid()") != pid
        assert store.pool_snapshot().opened == 2


async def test_cancelled_callers_leave_nothing_behind(
    postgres: PostgresSessionStore, registry: CollectorRegistry, alice: Principal
) -> None:
    """A storm of cancellations at random moments: afterwards no slot is taken and the next request works."""
    rng = random.Random(7)  # noqa: S311 - repeatable on purpose

    async def one() -> None:
        try:
            async with asyncio.timeout(rng.uniform(0.0001, 0.02)):
                await postgres.as_user(alice).create(NewSession())
        except (TimeoutError, StoreError):
            pass

    for _ in range(10):
        await asyncio.gather(*(one() for _ in range(40)))
    assert await postgres.as_user(alice).get(uuid4()) is None
    snapshot = postgres.pool_snapshot()
    assert (snapshot.in_use, snapshot.pending) == (0, 0)
    assert registry.get_sample_value("lift_store_operations_in_flight", {"operation": "create"}) == 0
    cancelled = {"backend": "postgres", "operation": "create", "outcome": "cancelled"}
    assert (registry.get_sample_value("lift_store_operations_total", cancelled) or 0) > 0


async def test_the_database_remembers_which_request_wrote(postgres: PostgresSessionStore, database: Database, alice: Principal) -> None:
    """The request id goes down with the write and is found beside its operation id."""
    operation_id, token = uuid4(), request_id.set("req-42")
    try:
        await postgres.as_user(alice).create(NewSession(), operation_id=operation_id)
    finally:
        request_id.reset(token)
    with psycopg.connect(database.admin) as connection:
        row = connection.execute("select context from lift_private.operations where operation_id = %s", [operation_id]).fetchone()
    assert row == ({"request_id": "req-42"},)


async def test_an_operation_is_one_statement(server: LocalPostgres, observability: Observability, alice: Principal) -> None:
    """Whatever the length of the history, the server sees one query of the client for each operation."""
    database = migrated_database(server)
    # unprepared, since preparing a statement the first time is a round trip of its own
    async with PostgresSessionStore(database.app, observability=observability, max_size=1, prepare=False) as store:
        alone = store.as_user(alice)
        history = tuple(PromptRevision(content=str(n)) for n in range(300))
        session_id = (await alone.create(NewSession(revisions=history))).session_id
        transactions = "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()"
        await store.ping()
        for act in (
            lambda: alone.get(session_id),
            lambda: alone.add_draft(session_id, IRDraft(ir={})),
            alone.list_all,
            lambda: alone.update(session_id, version=302, metadata={"a": 1}),
        ):
            await store.fetch_one("select pg_stat_force_next_flush()")
            before = await store.fetch_one(transactions)
            await act()
            await store.fetch_one("select pg_stat_force_next_flush()")
            # the operation, the flush that follows it, and the look before it: each autocommitted statement is one transaction
            assert await store.fetch_one(transactions) - before == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [({"password": "wrong"}, "password authentication failed"), ({"dbname": "nowhere"}, 'database "nowhere" does not exist')],
)
async def test_a_login_that_is_refused_is_our_own_fault(
    database: Database, observability: Observability, change: dict[str, str], said: str
) -> None:
    """The error says what the server said, without the password."""
    conninfo = make_conninfo(database.app, **change)
    async with PostgresSessionStore(conninfo, observability=observability, acquire_timeout=1) as store:
        with pytest.raises(InternalError, match=f"refuses our login: .*{said}") as caught:
            await store.ping()
        assert PASSWORD not in str(caught.value)
        assert "wrong" not in str(caught.value)
