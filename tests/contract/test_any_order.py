"""Any writes of any users in any order, at once, repeated and cancelled: every store does what the model says."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import permutations
from typing import Any, ClassVar, NamedTuple
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from prometheus_client import CollectorRegistry

from lift_store import (
    HoleResolution,
    InMemorySessionStore,
    IRDraft,
    NewSession,
    PostgresSessionStore,
    PromptRevision,
    SessionSource,
    SessionStatus,
    SessionStore,
)
from lift_store.local.postgres import LocalPostgres
from lift_store.models import MAX_FLOAT
from lift_store.observability import observe_on
from lift_store.protocol import Backend
from lift_store.supabase import SupabaseSessionStore
from tests.contract.model import Answer, Append, Create, Delete, ModelUser, Request, Update, Write, answer_to, apply
from tests.pgbouncer import pgbouncer, through
from tests.principals import somebody
from tests.servers import BINARIES, Database, migrated_database
from tests.supabase import SupabaseProject

USERS = 3
IDS = 2

unicode = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


def json_objects(bits: int) -> st.SearchStrategy[dict[str, Any]]:
    """Draw JSON objects whose integers have up to *bits*, the sign aside."""
    values = st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**bits), 2**bits - 1)
        | st.floats(-MAX_FLOAT, MAX_FLOAT, exclude_min=True, exclude_max=True)
        | unicode,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(unicode, inner, max_size=3),
        max_leaves=8,
    )
    return st.dictionaries(unicode, values, max_size=3)


# the machine's own contents are small: what matters there is which of them arrive, and where
contents = st.sampled_from(["a", "b"])
documents = st.sampled_from([{}, {"a": 1}, {"b": [None, "ü"]}])
holes = st.sampled_from(["x", "y"])
revisions = st.builds(PromptRevision, content=contents, target_hole=st.none() | holes, metadata=documents)
drafts = st.builds(IRDraft, ir=documents, ambiguities=st.sampled_from([(), ("x",), ("x", "y")]))
resolutions = st.builds(HoleResolution, hole_id=holes, resolution_text=contents)
news = st.builds(
    NewSession,
    session_id=st.none(),
    source=st.sampled_from(SessionSource),
    revisions=st.lists(revisions, max_size=2).map(tuple),
    ir_drafts=st.lists(drafts, max_size=2).map(tuple),
    pending_resolutions=st.lists(resolutions, max_size=1).map(tuple),
    metadata=documents,
)


class Attempt(NamedTuple):
    """A request as the machine draws it; what it means depends on what went before."""

    user: int
    session: int
    kind: str
    new: NewSession
    child: PromptRevision | IRDraft | HoleResolution
    stale_by: int
    status: SessionStatus | None
    metadata: dict[str, Any] | None
    again: int | None
    """Send the n-th last request again, or (negative) its operation_id with this content."""
    cancelled_after: float | None
    """Seconds until the caller gives up and sends it again; None: it waits."""


attempts = st.builds(
    Attempt,
    user=st.sampled_from([0, 0, 0, 1, 2]),  # whoever meets the same session often enough gets it into every state
    session=st.sampled_from([0, 0, 0, 1]),
    kind=st.sampled_from(["create", *["append"] * 4, *["update"] * 6, "delete"]),
    new=news,
    child=st.one_of(drafts, drafts, revisions, resolutions),
    stale_by=st.sampled_from([0, 0, 0, 0, 1, -1]),
    status=st.sampled_from([None, *SessionStatus, SessionStatus.FINALIZED]),
    metadata=st.sampled_from([None, {}, {"a": 1}]),
    again=st.sampled_from([None, None, None, 0, 1, -1]),
    cancelled_after=st.sampled_from([None, None, 0.0, 0.0005, 0.002]),
)


class SessionMachine(RuleBasedStateMachine):
    """Sends what is drawn to a store and to the model."""

    runner: ClassVar[asyncio.Runner]
    store: ClassVar[SessionStore]

    @initialize()
    def meet(self) -> None:
        """Begin with users who have nothing, and with ids that all of them use."""
        self.principals = [somebody() for _ in range(USERS)]
        self.ids = [uuid4() for _ in range(IDS)]
        self.model = [ModelUser() for _ in range(USERS)]
        self.sent: list[Request] = []
        for session_id in self.ids:
            self._agree([Request(0, uuid4(), Create(session_id, NewSession()))], [None])

    @rule(batch=st.lists(attempts, min_size=1, max_size=4))
    def write_at_once(self, batch: list[Attempt]) -> None:
        """All that was drawn is under way at once; there is an order in which the model answers each of them alike."""
        self._agree([self._request(attempt) for attempt in batch], [attempt.cancelled_after for attempt in batch])

    def _agree(self, requests: list[Request], cancelled_after: list[float | None]) -> None:
        got = self.runner.run(self._send(requests, cancelled_after))
        self.sent += requests
        for order in permutations(range(len(requests))):
            model, expected = deepcopy(self.model), dict[int, Answer]()
            for index in order:
                expected[index] = apply(model, requests[index])
            if all(got[index] == expected[index] for index in order):
                self.model = model
                return
        in_order = [apply(self.model, request) for request in requests]
        pytest.fail(f"no order explains it\nsent {requests}\ngot  {got}\nand not, for one, {in_order}")

    @rule(user=st.integers(0, USERS - 1))
    def read(self, user: int) -> None:
        """A user finds each session as the model has it, and none of another's."""
        sessions, model = self.store.as_user(self.principals[user]), self.model[user].sessions

        async def get() -> list[Any]:
            return await asyncio.gather(*(sessions.get(session_id) for session_id in self.ids))

        for session_id, got in zip(self.ids, self.runner.run(get()), strict=True):
            assert (got is None) == (session_id not in model)
            if got:
                assert model[session_id].describes(got), (model[session_id], got)

    @rule(user=st.integers(0, USERS - 1), status=st.none() | st.sampled_from(SessionStatus), limit=st.integers(1, IDS))
    def read_lists(self, user: int, status: SessionStatus | None, limit: int) -> None:
        """The pages of a list are all of the user's sessions of that status, newest first, each once."""
        sessions, model = self.store.as_user(self.principals[user]), self.model[user].sessions

        async def pages() -> list[Any]:
            page = await sessions.list_all(status, limit)
            items = list(page.items)
            while page.next_cursor:
                page = await sessions.list_all(status, limit, page.next_cursor)
                items += page.items
            return items

        items = self.runner.run(pages())
        assert {item.session_id: item.version for item in items} == {
            session_id: session.version for session_id, session in model.items() if status in (None, session.status)
        }
        order = [(item.created_at, item.session_id) for item in items]
        assert order == sorted(set(order), reverse=True)

    def teardown(self) -> None:
        """In the end, everybody's sessions are as the model has them."""
        for user in range(USERS):
            self.read(user)

    def _request(self, attempt: Attempt) -> Request:
        operation_id = uuid4()
        if attempt.again is not None and self.sent:
            earlier = self.sent[-1 - abs(attempt.again) % len(self.sent)]
            if attempt.again >= 0:
                return earlier
            operation_id = earlier.operation_id
        return Request(attempt.user, operation_id, self._write(attempt))

    def _write(self, attempt: Attempt) -> Write:
        session_id = self.ids[attempt.session]
        match attempt.kind:
            case "create":
                return Create(session_id, attempt.new)
            case "append":
                return Append(session_id, attempt.child)
            case "update":
                session = self.model[attempt.user].sessions.get(session_id)
                return Update(session_id, max(1, (session.version if session else 1) + attempt.stale_by), attempt.status, attempt.metadata)
            case _:
                return Delete(session_id)

    async def _send(self, requests: list[Request], cancelled_after: list[float | None]) -> list[Answer]:
        return await asyncio.gather(*map(self._send_one, requests, cancelled_after))

    async def _send_one(self, request: Request, cancelled_after: float | None) -> Answer:
        sessions = self.store.as_user(self.principals[request.user])
        if cancelled_after is not None:
            call = asyncio.create_task(request.write.send(sessions, request.operation_id))
            await asyncio.sleep(cancelled_after)
            call.cancel()
            await asyncio.wait([call])
        return await answer_to(lambda: request.write.send(sessions, request.operation_id))


PLACES = ["memory", "postgresql 18", "postgresql 15", "pgbouncer", "supabase"]


@pytest.fixture(scope="module")
def oldest() -> Iterator[Database]:
    """A migrated database on the oldest PostgreSQL that we support."""
    with LocalPostgres.temporary(bindir=BINARIES[15]) as server:
        yield migrated_database(server)


@contextmanager
def opened(place: str, request: pytest.FixtureRequest) -> Iterator[tuple[asyncio.Runner, SessionStore]]:
    """Open a store there, on an event loop of its own: hypothesis is not asynchronous."""
    with asyncio.Runner() as runner, _conninfo(place, request) as conninfo:
        store = _store(place, request, conninfo)
        runner.run(store.__aenter__())
        try:
            yield runner, store
        finally:
            runner.run(store.__aexit__(None, None, None))


def _store(place: str, request: pytest.FixtureRequest, conninfo: str | None) -> SessionStore:
    if place == "supabase":
        project: SupabaseProject = request.getfixturevalue("supabase")
        return SupabaseSessionStore(project.url, project.key, observability=observe_on(CollectorRegistry(), Backend.SUPABASE))
    if conninfo is None:
        return InMemorySessionStore(observability=observe_on(CollectorRegistry(), Backend.MEMORY))
    # PgBouncer knows prepared statements since 1.22 only; Debian 12 has 1.18
    observability = observe_on(CollectorRegistry(), Backend.POSTGRES)
    return PostgresSessionStore(conninfo, observability=observability, max_size=8, prepare=place != "pgbouncer")


@contextmanager
def _conninfo(place: str, request: pytest.FixtureRequest) -> Iterator[str | None]:
    match place:
        case "postgresql 18":
            yield request.getfixturevalue("database").app
        case "postgresql 15":
            yield request.getfixturevalue("oldest").app
        case "pgbouncer":
            with pgbouncer(request.getfixturevalue("server")) as port:
                yield through(port, request.getfixturevalue("database").app)
        case _:
            yield None


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("examples", [100, pytest.param(300, marks=pytest.mark.long)])
@pytest.mark.timeout(900)  # a failure is made small before it is shown
def test_a_store_does_what_the_model_says(place: str, examples: int, request: pytest.FixtureRequest) -> None:
    """Whatever is interleaved, repeated, cancelled or reused."""
    with opened(place, request) as (runner, store):
        machine = type("Machine", (SessionMachine,), {"runner": runner, "store": store})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=20,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


@pytest.mark.parametrize("place", PLACES)
def test_json_comes_back_as_it_went_in(place: str, request: pytest.FixtureRequest) -> None:
    """Any document that is taken is read back equal, in each place that takes one, and what was read is taken again.

    Supabase Lite is written in JavaScript, whose numbers hold 53 bits: there longer integers are left out, which PostgREST never parses.
    """
    is_lite = place == "supabase" and "LIFT_STORE_TEST_SUPABASE_URL" not in os.environ
    with opened(place, request) as (runner, store):
        sessions = store.as_user(somebody())

        async def round_trip(document: dict[str, Any]) -> None:
            revision = PromptRevision(content="a", metadata=document)
            draft = IRDraft(ir=document, smt_results=(document,), metadata=document)
            answer = HoleResolution(hole_id="x", resolution_text="b", metadata=document)
            new = NewSession(revisions=(revision,), ir_drafts=(draft,), pending_resolutions=(answer,), metadata=document)
            for again in (False, True):
                got = await sessions.get((await sessions.create(new)).session_id)
                assert got is not None
                (kept,) = got.ir_drafts
                found = [got.metadata, got.revisions[0].metadata, kept.ir, *kept.smt_results, kept.metadata]
                found.append(got.pending_resolutions[0].metadata)
                assert found == [document] * 6, again
                new = NewSession(
                    revisions=got.revisions,
                    ir_drafts=(kept.model_copy(update={"version": None}),),
                    pending_resolutions=got.pending_resolutions,
                    metadata=got.metadata,
                )

        @settings(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
        @given(json_objects(53 if is_lite else 63))
        def check(document: dict[str, Any]) -> None:
            runner.run(round_trip(document))

        check()
