"""What every store promises; each test runs on each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest

from lift_store import (
    ConflictError,
    HoleResolution,
    InvalidError,
    InvalidStateError,
    IRDraft,
    NewSession,
    NotFoundError,
    Principal,
    PromptRevision,
    ResolutionType,
    RevisionType,
    SessionSource,
    SessionStatus,
    SessionStore,
    SessionSummary,
    UnauthenticatedError,
    UserSessions,
    ValidationStatus,
)

PROMPT = PromptRevision(content="def f(x):", revision_type=RevisionType.INITIAL)
DRAFT = IRDraft(ir={"signature": {"name": "f", "parameters": ["x"]}}, ambiguities=("x", "return"))
ANSWER = HoleResolution(hole_id="x", resolution_text="an int")


async def begin(sessions: UserSessions, **fields: Any) -> SessionSummary:
    """Create a session that begins with a prompt."""
    return await sessions.create(NewSession(revisions=(PROMPT,), **fields))


async def test_a_created_session_is_read_back_whole(store: SessionStore, alice: Principal) -> None:
    """What went into create comes out of get: order, numbers, times, metadata."""
    sessions = store.as_user(alice)
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=2)))
    new = NewSession(
        session_id=uuid4(),
        source=SessionSource.REVERSE_MODE,
        revisions=(
            PROMPT,
            PromptRevision(content="more\n\t\"'\\ üñ€😀", timestamp=moment, target_hole="x", metadata={"k": [1, None]}),
        ),
        ir_drafts=(
            DRAFT,
            IRDraft(ir={}, validation_status=ValidationStatus.VALID, smt_results=({"sat": True},), created_at=moment),
        ),
        pending_resolutions=(HoleResolution(hole_id="x", resolution_text="y", applied=True, timestamp=moment),),
        metadata={"team": {"name": "π", "n": 1.5}},
    )
    before = datetime.now(UTC) - timedelta(seconds=5)
    summary = await sessions.create(new)
    session = await sessions.get(summary.session_id)
    assert session is not None
    assert (new.session_id, alice.user_id) == (session.session_id, session.user_id)
    assert (session.status, session.source, session.finalized_at) == (
        SessionStatus.ACTIVE,
        SessionSource.REVERSE_MODE,
        None,
    )
    assert new.metadata == session.metadata
    assert [r.content for r in session.revisions] == ["def f(x):", "more\n\t\"'\\ üñ€😀"]
    assert new.revisions[1] == session.revisions[1]
    assert moment == session.revisions[1].timestamp
    assert session.revisions[1].timestamp.tzinfo == UTC
    assert session.revisions[0].timestamp is not None
    assert before < session.revisions[0].timestamp < datetime.now(UTC) + timedelta(seconds=5)
    assert [d.version for d in session.ir_drafts] == [1, 2]
    assert session.ir_drafts[1] == session.current_draft
    assert session.ir_drafts[1].smt_results == ({"sat": True},)
    assert new.pending_resolutions == session.pending_resolutions
    assert (summary.revision_count, summary.draft_count, summary.resolution_count) == (2, 2, 1)
    assert session.version == summary.version
    assert session.created_at <= session.updated_at


async def test_the_store_assigns_an_id_where_none_is_given(store: SessionStore, alice: Principal) -> None:
    """Two sessions without an id are two sessions."""
    sessions = store.as_user(alice)
    first, second = await begin(sessions), await begin(sessions)
    assert first.session_id != second.session_id


async def test_a_session_begins_at_version_1_and_every_write_moves_it(store: SessionStore, alice: Principal) -> None:
    """The version rises with each append and update."""
    sessions = store.as_user(alice)
    summary = await sessions.create(NewSession())
    session_id = summary.session_id
    versions = [
        summary.version,
        (await sessions.add_revision(session_id, PROMPT)).version,
        (await sessions.add_draft(session_id, DRAFT)).version,
        (await sessions.add_resolution(session_id, ANSWER)).version,
        (await sessions.update(session_id, version=4, metadata={"a": 1})).version,
        (await sessions.update(session_id, version=5, status=SessionStatus.PAUSED)).version,
    ]
    assert versions == [1, 2, 3, 4, 5, 6]


async def test_creating_a_taken_id_again_is_a_conflict(store: SessionStore, alice: Principal) -> None:
    """One's own id cannot be created twice, and the first session stays as it was."""
    sessions = store.as_user(alice)
    summary = await begin(sessions)
    with pytest.raises(ConflictError) as caught:
        await sessions.create(NewSession(session_id=summary.session_id, metadata={"other": True}))
    assert summary.version == caught.value.actual_version
    session = await sessions.get(summary.session_id)
    assert session is not None
    assert session.metadata == {}


async def test_an_id_is_its_owners_own_namespace(store: SessionStore, alice: Principal, bob: Principal) -> None:
    """Taking another user's session id for one's own create simply works, and neither sees the other's."""
    hers = await begin(store.as_user(alice), metadata={"of": "alice"})
    his = await store.as_user(bob).create(NewSession(session_id=hers.session_id, metadata={"of": "bob"}))
    assert hers.session_id == his.session_id
    for principal, name in ((alice, "alice"), (bob, "bob")):
        session = await store.as_user(principal).get(hers.session_id)
        assert session is not None
        assert {"of": name} == session.metadata


async def test_another_users_session_is_as_good_as_missing(store: SessionStore, alice: Principal, bob: Principal) -> None:
    """Nothing of it is read, changed or deleted, and each answer is that for a missing session, word for word."""
    sessions = store.as_user(alice)
    summary = await begin(sessions, ir_drafts=(DRAFT,))
    before = await sessions.get(summary.session_id)
    intruder, missing = store.as_user(bob), uuid4()

    async def answers(session_id: Any) -> list[str]:
        texts = [repr(await intruder.get(session_id)), repr(await intruder.delete(session_id))]
        for attempt in (
            intruder.update(session_id, version=summary.version, metadata={"mine": 1}),
            intruder.update(session_id, version=99, status=SessionStatus.FINALIZED),
            intruder.add_revision(session_id, PROMPT),
            intruder.add_draft(session_id, DRAFT),
            intruder.add_resolution(session_id, ANSWER),
        ):
            with pytest.raises(NotFoundError) as caught:
                await attempt
            texts.append(str(caught.value))
        return texts

    assert await answers(missing) == await answers(summary.session_id)
    assert before == await sessions.get(summary.session_id)
    assert (await intruder.list_all()).items == ()


async def test_only_a_signed_in_user_may_use_the_store(store: SessionStore) -> None:
    """No identity, no row: any role but authenticated is turned away, whatever it asks for."""
    for role in ("anon", "service_role", "postgres", ""):
        sessions = store.as_user(Principal(uuid4(), role=role))
        with pytest.raises(UnauthenticatedError, match="may not use the store"):
            await sessions.get(uuid4())
        with pytest.raises(UnauthenticatedError):
            await begin(sessions)


async def test_what_is_not_there(store: SessionStore, alice: Principal) -> None:
    """Get answers None and delete False; update and add_* raise NotFoundError."""
    sessions, missing = store.as_user(alice), uuid4()
    assert await sessions.get(missing) is None
    assert await sessions.delete(missing) is False
    with pytest.raises(NotFoundError):
        await sessions.update(missing, version=1, metadata={})
    with pytest.raises(NotFoundError):
        await sessions.add_draft(missing, DRAFT)


async def test_deleting_takes_the_history_along(store: SessionStore, alice: Principal) -> None:
    """A deleted session is gone, and its id is free again, with no history."""
    sessions = store.as_user(alice)
    summary = await begin(sessions, ir_drafts=(DRAFT,), pending_resolutions=(ANSWER,))
    assert await sessions.delete(summary.session_id) is True
    assert await sessions.get(summary.session_id) is None
    assert await sessions.delete(summary.session_id) is False
    again = await sessions.create(NewSession(session_id=summary.session_id))
    assert (again.revision_count, again.draft_count, again.resolution_count) == (0, 0, 0)


async def test_of_two_updates_from_one_version_one_wins(store: SessionStore, alice: Principal) -> None:
    """Compare-and-swap: the other is a ConflictError that names the version now, and changes nothing."""
    sessions = store.as_user(alice)
    summary = await begin(sessions)
    results = await asyncio.gather(
        *(sessions.update(summary.session_id, version=summary.version, metadata={"writer": n}) for n in range(2)),
        return_exceptions=True,
    )
    won = [r for r in results if isinstance(r, SessionSummary)]
    lost = [r for r in results if isinstance(r, ConflictError)]
    assert (len(won), len(lost)) == (1, 1)
    assert summary.version + 1 == lost[0].actual_version
    session = await sessions.get(summary.session_id)
    assert session is not None
    assert won[0].metadata == session.metadata


async def test_an_update_sets_what_it_names_and_nothing_else(store: SessionStore, alice: Principal) -> None:
    """Metadata is replaced as a whole; a status alone leaves it be."""
    sessions = store.as_user(alice)
    summary = await begin(sessions, metadata={"a": 1})
    paused = await sessions.update(summary.session_id, version=summary.version, status=SessionStatus.PAUSED)
    assert (paused.status, paused.metadata) == (SessionStatus.PAUSED, {"a": 1})
    replaced = await sessions.update(summary.session_id, version=paused.version, metadata={"b": 2})
    assert (replaced.status, replaced.metadata) == (SessionStatus.PAUSED, {"b": 2})
    assert summary.created_at == replaced.created_at
    assert summary.updated_at < replaced.updated_at


async def test_fifty_concurrent_appends_are_all_stored_and_numbered(store: SessionStore, alice: Principal) -> None:
    """None is lost, the numbers are 1 to 50, the counters are right, for each kind of history."""
    sessions = store.as_user(alice)
    session_id = (await sessions.create(NewSession())).session_id
    await asyncio.gather(
        *(sessions.add_draft(session_id, IRDraft(ir={"n": n})) for n in range(50)),
        *(sessions.add_revision(session_id, PromptRevision(content=str(n))) for n in range(50)),
        *(sessions.add_resolution(session_id, HoleResolution(hole_id=str(n), resolution_text="y")) for n in range(50)),
    )
    session = await sessions.get(session_id)
    assert session is not None
    assert list(range(1, 51)) == [d.version for d in session.ir_drafts]
    assert set(range(50)) == {d.ir["n"] for d in session.ir_drafts}
    assert {str(n) for n in range(50)} == {r.content for r in session.revisions}
    assert {str(n) for n in range(50)} == {r.hole_id for r in session.pending_resolutions}
    assert session.version == 151
    summary = (await sessions.list_all()).items[0]
    assert (summary.revision_count, summary.draft_count, summary.resolution_count) == (50, 50, 50)


async def test_a_repeated_operation_stores_once_and_answers_as_the_first(store: SessionStore, alice: Principal) -> None:
    """Every kind of write, repeated with its operation_id after other writes, gives the first answer again."""
    sessions = store.as_user(alice)
    ids = [uuid4() for _ in range(6)]
    first = await sessions.create(NewSession(metadata={"a": 1}), operation_id=ids[0])
    session_id = first.session_id
    doomed = (await sessions.create(NewSession())).session_id
    writes: list[Callable[[], Awaitable[object]]] = [
        lambda: sessions.create(NewSession(metadata={"a": 1}), operation_id=ids[0]),
        lambda: sessions.add_revision(session_id, PROMPT, operation_id=ids[1]),
        lambda: sessions.add_draft(session_id, DRAFT, operation_id=ids[2]),
        lambda: sessions.add_resolution(session_id, ANSWER, operation_id=ids[3]),
        lambda: sessions.update(session_id, version=4, metadata={"b": 2}, operation_id=ids[4]),
        lambda: sessions.delete(doomed, operation_id=ids[5]),
    ]
    answers = [await write() for write in writes]
    assert first == answers[0]
    await sessions.add_revision(session_id, PROMPT)
    assert answers == [await write() for write in writes]
    session = await sessions.get(session_id)
    assert session is not None
    assert (len(session.revisions), len(session.ir_drafts), len(session.pending_resolutions)) == (2, 1, 1)
    assert len((await sessions.list_all()).items) == 1


async def test_concurrent_repeats_store_once(store: SessionStore, alice: Principal) -> None:
    """Ten sends of one append at once are one append with one answer."""
    sessions = store.as_user(alice)
    session_id, operation_id = (await sessions.create(NewSession())).session_id, uuid4()
    answers = await asyncio.gather(*(sessions.add_draft(session_id, DRAFT, operation_id=operation_id) for _ in range(10)))
    assert [a.draft_count for a in answers] == [1] * 10
    session = await sessions.get(session_id)
    assert session is not None
    assert len(session.ir_drafts) == 1


async def test_an_operation_id_with_other_content_is_invalid(store: SessionStore, alice: Principal, bob: Principal) -> None:
    """It stores nothing; and operation ids, too, are each user's own."""
    sessions, operation_id = store.as_user(alice), uuid4()
    session_id = (await sessions.create(NewSession())).session_id
    await sessions.add_draft(session_id, DRAFT, operation_id=operation_id)
    for attempt in (
        sessions.add_draft(session_id, IRDraft(ir={"other": 1}), operation_id=operation_id),
        sessions.add_revision(session_id, PROMPT, operation_id=operation_id),
        sessions.delete(session_id, operation_id=operation_id),
    ):
        with pytest.raises(InvalidError, match="operation_id was used before"):
            await attempt
    session = await sessions.get(session_id)
    assert session is not None
    assert session.version == 2
    assert (await store.as_user(bob).create(NewSession(), operation_id=operation_id)).version == 1


async def test_a_failed_write_is_not_remembered(store: SessionStore, alice: Principal) -> None:
    """After a conflict the same operation_id may be used for the request put right."""
    sessions, operation_id = store.as_user(alice), uuid4()
    session_id = (await sessions.create(NewSession())).session_id
    with pytest.raises(ConflictError):
        await sessions.update(session_id, version=7, metadata={"a": 1}, operation_id=operation_id)
    assert (await sessions.update(session_id, version=1, metadata={"a": 1}, operation_id=operation_id)).version == 2


async def test_a_session_with_unresolved_ambiguities_cannot_be_finalized(store: SessionStore, alice: Principal) -> None:
    """The current draft decides; once each of its holes is answered, the session can be finalized."""
    sessions = store.as_user(alice)
    summary = await sessions.create(NewSession(ir_drafts=(DRAFT,)))
    session_id = summary.session_id
    with pytest.raises(InvalidStateError, match="unresolved ambiguities"):
        await sessions.update(session_id, version=summary.version, status=SessionStatus.FINALIZED)
    await sessions.add_resolution(session_id, ANSWER)
    session = await sessions.get(session_id)
    assert session is not None
    assert session.unresolved_ambiguities == ("return",)
    assert session.status == SessionStatus.ACTIVE
    summary = await sessions.add_resolution(
        session_id,
        HoleResolution(hole_id="return", resolution_text="int", resolution_type=ResolutionType.SPECIFY_EFFECT),
    )
    done = await sessions.update(session_id, version=summary.version, status=SessionStatus.FINALIZED)
    assert done.status == SessionStatus.FINALIZED
    assert done.finalized_at is not None
    assert done.created_at <= done.finalized_at


async def test_a_later_draft_without_ambiguities_can_be_finalized(store: SessionStore, alice: Principal) -> None:
    """What an earlier draft left open does not matter."""
    sessions = store.as_user(alice)
    session_id = (await sessions.create(NewSession(ir_drafts=(DRAFT,)))).session_id
    summary = await sessions.add_draft(session_id, IRDraft(ir={}))
    done = await sessions.update(session_id, version=summary.version, status=SessionStatus.FINALIZED)
    assert done.status == SessionStatus.FINALIZED


@pytest.mark.parametrize("closed", [SessionStatus.FINALIZED, SessionStatus.ABANDONED])
async def test_the_history_of_a_closed_session_is_closed(store: SessionStore, alice: Principal, closed: SessionStatus) -> None:
    """Nothing is appended to it and its status stays; only its metadata may still change."""
    sessions = store.as_user(alice)
    summary = await begin(sessions)
    session_id = summary.session_id
    summary = await sessions.update(session_id, version=summary.version, status=closed)
    for attempt in (
        sessions.add_revision(session_id, PROMPT),
        sessions.add_draft(session_id, DRAFT),
        sessions.add_resolution(session_id, ANSWER),
        sessions.update(session_id, version=summary.version, status=SessionStatus.ACTIVE),
        sessions.update(session_id, version=summary.version, status=closed),
    ):
        with pytest.raises(InvalidStateError, match=f"the session is {closed}"):
            await attempt
    changed = await sessions.update(session_id, version=summary.version, metadata={"kept": True})
    assert (closed, {"kept": True}, 1) == (changed.status, changed.metadata, changed.revision_count)
    assert (closed is SessionStatus.FINALIZED) == (changed.finalized_at is not None)


async def test_lists_show_newest_first_and_page_through_everything_once(store: SessionStore, alice: Principal) -> None:
    """Following next_cursor gives each session exactly once, in order, though sessions are written meanwhile."""
    sessions = store.as_user(alice)
    made = [(await begin(sessions)).session_id for _ in range(7)]
    seen, cursor = [], None
    while True:
        page = await sessions.list_all(limit=3, cursor=cursor)
        seen += [item.session_id for item in page.items]
        await sessions.add_revision(made[0], PROMPT)
        cursor = page.next_cursor
        if cursor is None:
            break
    assert made[::-1] == seen
    assert (await sessions.list_all(limit=7)).next_cursor is None


async def test_lists_choose_by_status(store: SessionStore, alice: Principal, bob: Principal) -> None:
    """list_active shows the active; list_all every status, or the one asked for; never another user's."""
    sessions = store.as_user(alice)
    await begin(store.as_user(bob))
    by_status = {}
    for status in SessionStatus:
        summary = await begin(sessions)
        if status is not SessionStatus.ACTIVE:
            await sessions.update(summary.session_id, version=summary.version, status=status)
        by_status[status] = summary.session_id
    assert [by_status[SessionStatus.ACTIVE]] == [s.session_id for s in (await sessions.list_active()).items]
    assert set(by_status.values()) == {s.session_id for s in (await sessions.list_all()).items}
    for status, session_id in by_status.items():
        assert [session_id] == [s.session_id for s in (await sessions.list_all(status)).items]


async def test_lists_page_through_one_status(store: SessionStore, alice: Principal) -> None:
    """list_active pages as list_all does."""
    sessions = store.as_user(alice)
    made = [(await begin(sessions)).session_id for _ in range(3)]
    first = await sessions.list_active(limit=2)
    rest = await sessions.list_active(limit=2, cursor=first.next_cursor)
    assert made[::-1] == [s.session_id for s in (*first.items, *rest.items)]


async def test_an_empty_list_is_an_empty_page(store: SessionStore, alice: Principal) -> None:
    """No sessions: no items and no cursor."""
    page = await store.as_user(alice).list_all()
    assert (page.items, page.next_cursor) == ((), None)


@pytest.mark.parametrize("limit", [0, -1, 201, 10**9])
async def test_a_limit_out_of_range_is_invalid(store: SessionStore, alice: Principal, limit: int) -> None:
    """It is named, with its range."""
    for attempt in (store.as_user(alice).list_all(limit=limit), store.as_user(alice).list_active(limit=limit)):
        with pytest.raises(InvalidError, match=f"limit is {limit}; it must be 1 to 200") as caught:
            await attempt
        assert caught.value.field == "limit"


@pytest.mark.parametrize("cursor", ["", "x", "1.2", "9" * 17 + "." + "g" * 36, "' or true --", "1" * 18 + f".{uuid4()}"])
async def test_a_cursor_that_no_list_made_is_invalid(store: SessionStore, alice: Principal, cursor: str) -> None:
    """It is refused, not guessed at."""
    with pytest.raises(InvalidError, match="cursor was not made by this list") as caught:
        await store.as_user(alice).list_all(cursor=cursor)
    assert caught.value.field == "cursor"


async def test_an_update_of_nothing_is_invalid(store: SessionStore, alice: Principal) -> None:
    """Neither status nor metadata."""
    with pytest.raises(InvalidError, match="nothing to set"):
        await store.as_user(alice).update(uuid4(), version=1)


async def test_metadata_beyond_its_limit_is_invalid(store: SessionStore, alice: Principal) -> None:
    """The limit is named, and what was sent is not shown."""
    with pytest.raises(InvalidError, match="the limit is 16384") as caught:
        await store.as_user(alice).update(uuid4(), version=1, metadata={"secret": "s" * 20_000})
    assert caught.value.field == "metadata"
    assert "sss" not in str(caught.value)


async def test_a_draft_brings_no_version_of_its_own(store: SessionStore, alice: Principal) -> None:
    """The store numbers drafts; a number sent along is refused rather than ignored."""
    sessions = store.as_user(alice)
    session_id = (await sessions.create(NewSession())).session_id
    numbered = IRDraft(ir={}, version=7)
    with pytest.raises(InvalidError, match="the store assigns it"):
        await sessions.add_draft(session_id, numbered)
    with pytest.raises(InvalidError, match="the store assigns it"):
        await sessions.create(NewSession(ir_drafts=(numbered,)))


async def test_what_a_caller_does_to_its_objects_later_changes_nothing(store: SessionStore, alice: Principal) -> None:
    """Neither documents sent nor documents read are shared with the store."""
    sessions = store.as_user(alice)
    ir: dict[str, Any] = {"a": [1]}
    session_id = (await sessions.create(NewSession(ir_drafts=(IRDraft(ir=ir),), metadata={"m": [1]}))).session_id
    ir["a"].append(2)
    read = await sessions.get(session_id)
    assert read is not None
    read.ir_drafts[0].ir["a"].append(3)
    read.metadata["m"].append(3)
    again = await sessions.get(session_id)
    assert again is not None
    assert (again.ir_drafts[0].ir, again.metadata) == ({"a": [1]}, {"m": [1]})


async def test_the_store_answers_a_ping(store: SessionStore) -> None:
    """A store that is up says so."""
    await store.ping()
