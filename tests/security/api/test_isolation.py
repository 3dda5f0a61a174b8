"""Another user's session answers exactly as a missing one: status, body and headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest
from prometheus_client import CollectorRegistry

from lift_store.api.app import create_app
from lift_store.factory import build_store
from lift_store.settings import Settings
from tests.servers import Database
from tests.unit.api.tokens import SECRET, hs256, token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ATTEMPTS: list[tuple[str, str, dict[str, str], Any]] = [
    ("GET", "", {}, None),
    ("GET", "", {"If-None-Match": "*"}, None),
    ("PATCH", "", {"If-Match": '"1"'}, {"status": "paused"}),
    ("PATCH", "", {"If-Match": '"2"'}, {"metadata": {"mine": True}}),
    ("DELETE", "", {}, None),
    ("POST", "/revisions", {}, {"content": "mine"}),
    ("POST", "/drafts", {}, {"ir": {}}),
    ("POST", "/holes/a/resolve", {}, {"resolution_text": "mine"}),
    ("POST", "/finalize", {"If-Match": '"2"'}, None),
    ("POST", "/abandon", {"If-Match": '"2"'}, None),
]
OWN = ("x-request-id", "date")


@pytest.fixture(params=["memory", "postgres"])
async def client(request: pytest.FixtureRequest, registry: CollectorRegistry, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client without a token, of the API over each store."""
    settings = Settings.load(backend_choice=request.param, database_url=database.app, jwt_secret=SECRET)
    async with build_store(settings, registry) as store:
        app = create_app(store, verifier=hs256(), settings=settings, registry=registry)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as made:
            yield made


def bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {token(uuid4())}"}


def comparable(answer: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    return (
        answer.status_code,
        answer.content,
        [(name, value) for name, value in answer.headers.items() if name not in OWN],
    )


@pytest.mark.parametrize(("method", "child", "headers", "body"), ATTEMPTS)
async def test_a_hidden_session_answers_as_a_missing_one(
    client: httpx.AsyncClient, method: str, child: str, headers: dict[str, str], body: Any
) -> None:
    """Nothing tells another user that the session is there, and nothing of it is changed."""
    owner, other = bearer(), bearer()
    new = {"revisions": [{"content": "private"}]}
    hidden = (await client.post("/api/sessions", json=new, headers=owner)).headers["Location"]
    before = await client.get(hidden, headers=owner)
    answers = [
        await client.request(method, f"{path}{child}", json=body, headers=headers | other) for path in (hidden, f"/api/sessions/{uuid4()}")
    ]
    assert answers[0].status_code == 404
    assert comparable(answers[0]) == comparable(answers[1])
    assert before.content == (await client.get(hidden, headers=owner)).content


async def test_another_users_id_can_be_taken(client: httpx.AsyncClient) -> None:
    """An id is its owner's namespace: a create that succeeds tells nothing of others' ids."""
    chosen = {"session_id": str(uuid4())}
    answers = [await client.post("/api/sessions", json=chosen, headers=bearer()) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]


async def test_lists_hold_ones_own_sessions_only(client: httpx.AsyncClient) -> None:
    """Neither list shows another user's sessions, and a cursor of another user's list shows none either."""
    owner, other = bearer(), bearer()
    for _ in range(3):
        await client.post("/api/sessions", json={}, headers=owner)
    cursor = (await client.get("/api/sessions?limit=1", headers=owner)).json()["next_cursor"]
    for query in ("", "?status=active", f"?cursor={cursor}"):
        answer = await client.get(f"/api/sessions{query}", headers=other)
        assert answer.json() == {"items": [], "next_cursor": None}
