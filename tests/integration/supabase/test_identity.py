"""Two hundred users on one store at once, their tokens expiring on the way: nobody ever acts as somebody else."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from postgrest.base_request_builder import RequestConfig
from prometheus_client import CollectorRegistry

from lift_store import IRDraft, NewSession, NotFoundError, Principal, PromptRevision, StoreError, UnauthenticatedError
from lift_store.observability import observe_on
from lift_store.protocol import Backend
from lift_store.supabase import SupabaseSessionStore
from tests.principals import somebody
from tests.supabase import SupabaseProject

USERS = 200
OPERATIONS = 5_000


class User:
    """A user who works, and notes whatever was done as somebody else."""

    def __init__(self, store: SupabaseSessionStore, random: Random) -> None:
        self.store = store
        self.random = random
        self.user_id = uuid4()
        self.principal = self.signed_in()
        self.sessions: set[UUID] = set()
        self.strange: list[str] = []
        self.refused = 0

    def signed_in(self) -> Principal:
        """Sign in again: every fourth token lives for about a second only."""
        return somebody(self.user_id, lifetime=timedelta(seconds=1.5 if self.random.random() < 0.25 else 600))

    async def work(self, operations: int, others: list[User]) -> None:
        """Do random operations, on one's own sessions and on those of others."""
        for _ in range(operations):
            try:
                await self.operate(self.random.choice(others))
            except UnauthenticatedError:  # expired, and never somebody else
                self.refused += 1
                self.principal = self.signed_in()
            except StoreError as error:
                self.strange.append(f"{type(error).__name__}: {error}")

    async def operate(self, other: User) -> None:
        """Each answer says as whom the database saw us: by the owner of what came back, or by whether there was anything."""
        sessions, mine, theirs = self.store.as_user(self.principal), self.some(self), self.some(other)
        match self.random.randrange(6):
            case 0:
                created = await sessions.create(NewSession(metadata={"of": str(self.user_id)}))
                self.expect(self.user_id, created.user_id, "created as")
                self.sessions.add(created.session_id)
            case 1:
                got = await sessions.get(mine)
                self.expect(mine in self.sessions, got is not None, "own session found")
                self.expect(str(self.user_id), got.metadata["of"] if got else str(self.user_id), "got of")
            case 2:
                found = await sessions.get(theirs)
                self.expect(theirs in self.sessions, found is not None, "somebody's session found")
            case 3:
                try:
                    added = await sessions.add_revision(mine, PromptRevision(content="mine"))
                    self.expect(self.user_id, added.user_id, "added as")
                except NotFoundError:
                    self.expect(set(), {mine} & self.sessions, "own session missing")
            case 4:
                page = await sessions.list_all(limit=200)
                self.expect(self.sessions, {item.session_id for item in page.items}, "list of")
            case _:
                chosen = theirs if self.random.random() < 0.7 else mine
                self.expect(chosen in self.sessions, await sessions.delete(chosen), "deleted")
                self.sessions.discard(chosen)

    @staticmethod
    def some(user: User) -> UUID:
        """Return the id of one of *user*'s sessions, or of none."""
        return min(user.sessions, default=uuid4())

    def expect(self, expected: object, actual: object, what: str) -> None:
        """Note it where it is otherwise."""
        if expected != actual:
            self.strange.append(f"{what}: {actual}, not {expected}")


async def crowd(store: SupabaseSessionStore, users: int, operations: int) -> list[User]:
    """Let *users* work at once."""
    random = Random(20261125)  # noqa: S311 - to be repeated
    people = [User(store, random) for _ in range(users)]
    await asyncio.gather(*(user.work(operations // users, people) for user in people))
    return people


def open_store(supabase: SupabaseProject, kind: type[SupabaseSessionStore]) -> SupabaseSessionStore:
    """Return a store whose callers wait as long as it takes."""
    observability = observe_on(CollectorRegistry(), Backend.SUPABASE)
    return kind(supabase.url, supabase.key, observability=observability, acquire_timeout=30, operation_timeout=60, max_waiting=1000)


async def test_nobody_acts_as_somebody_else(supabase: SupabaseProject) -> None:
    """In 5,000 operations, interleaved, with tokens that expire."""
    async with open_store(supabase, SupabaseSessionStore) as store:
        people = await crowd(store, USERS, OPERATIONS)
    assert [strange for user in people for strange in user.strange] == []
    assert sum(user.refused for user in people) > 0


class SharedIdentity(SupabaseSessionStore):
    """What the client's documentation shows: the token set on the client that all share, then the request."""

    async def _send(self, function: str, arguments: Mapping[str, Any], principal: Principal | None) -> httpx.Response:
        assert self._client
        assert principal
        self._client.postgrest.auth(principal.token)
        await asyncio.sleep(0)  # whatever else awaits in between, such as reading a body
        request: RequestConfig[httpx.AsyncClient] = self._client.rpc(function, dict(arguments)).request
        return await request.send(httpx.Headers())


async def test_the_test_above_finds_an_identity_that_is_shared(supabase: SupabaseProject) -> None:
    """With client.postgrest.auth() instead, some act as others."""
    async with open_store(supabase, SharedIdentity) as store:
        people = await crowd(store, 20, 200)
    assert [strange for user in people for strange in user.strange] != []


@pytest.mark.parametrize("operation", ["get", "create", "list_all", "add_draft"])
async def test_what_is_answered_as_somebody_else_is_not_passed_on(supabase: SupabaseProject, operation: str) -> None:
    """A principal with the token of another, as a gateway that mixes answers up would make it: an error, and no row."""
    alice = somebody()
    async with open_store(supabase, SupabaseSessionStore) as store:
        session_id = (await store.as_user(alice).create(NewSession())).session_id
        mixed = store.as_user(Principal(uuid4(), token=alice.token))
        arguments: dict[str, tuple[Any, ...]] = {
            "get": (session_id,),
            "create": (NewSession(),),
            "list_all": (),
            "add_draft": (session_id, IRDraft(ir={})),
        }
        with pytest.raises(StoreError, match="another user's session, which was not passed on") as caught:
            await getattr(mixed, operation)(*arguments[operation])
        assert caught.value.outcome == "internal"
