"""The session routes over a real in-memory store."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest

NEW = {"revisions": [{"content": "Sort a list.", "revision_type": "initial"}]}
DRAFT = {"ir": {"intent": "sort"}, "ambiguities": ["order/direction"], "validation_status": "incomplete"}


async def begun(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    answer = await client.post("/api/sessions", json=NEW | body)
    assert answer.status_code == 201, answer.text
    return answer


async def test_a_session_goes_from_prompt_to_finalized(client: httpx.AsyncClient) -> None:
    """Each write answers with the session's version as ETag, which the next guarded write takes as If-Match."""
    created = await begun(client)
    path = created.headers["Location"]
    assert path == f"/api/sessions/{created.json()['session_id']}"
    assert created.headers["ETag"] == f'"{created.json()["version"]}"'

    drafted = await client.post(f"{path}/drafts", json=DRAFT)
    assert (drafted.status_code, drafted.json()["draft_count"]) == (200, 1)
    early = await client.post(f"{path}/finalize", headers={"If-Match": drafted.headers["ETag"]})
    assert (early.status_code, early.json()["type"]) == (409, "urn:lift-store:problem:invalid-state")

    resolved = await client.post(f"{path}/holes/order%2Fdirection/resolve", json={"resolution_text": "Ascending."})
    assert (resolved.status_code, resolved.json()["resolution_count"]) == (200, 1)
    done = await client.post(f"{path}/finalize", headers={"If-Match": resolved.headers["ETag"]})
    assert (done.status_code, done.json()["status"]) == (200, "finalized")

    whole = await client.get(path)
    assert whole.headers["ETag"] == done.headers["ETag"]
    assert [item["content"] for item in whole.json()["revisions"]] == ["Sort a list."]
    assert whole.json()["pending_resolutions"][0]["hole_id"] == "order/direction"


async def test_a_session_can_be_abandoned_and_deleted(client: httpx.AsyncClient) -> None:
    """DELETE answers 204, and 404 once there is nothing to delete."""
    created = await begun(client)
    path = created.headers["Location"]
    left = await client.post(f"{path}/abandon", headers={"If-Match": created.headers["ETag"]})
    assert left.json()["status"] == "abandoned"
    assert [(await client.delete(path)).status_code for _ in range(2)] == [204, 404]


async def test_an_unchanged_session_is_not_sent_again(client: httpx.AsyncClient) -> None:
    """If-None-Match with the present version answers 304 without a body."""
    created = await begun(client)
    tag = created.headers["ETag"]
    for value in (tag, f"W/{tag}", f'"999", {tag}', "*"):
        answer = await client.get(created.headers["Location"], headers={"If-None-Match": value})
        assert (304, b"", tag) == (answer.status_code, answer.content, answer.headers["ETag"])
    assert (await client.get(created.headers["Location"], headers={"If-None-Match": '"999"'})).status_code == 200


async def test_a_stale_version_is_a_failed_precondition(client: httpx.AsyncClient) -> None:
    """The second of two writers from one version gets 412 and learns the present version; nothing is changed."""
    created = await begun(client)
    path, tag = created.headers["Location"], {"If-Match": created.headers["ETag"]}
    first = await client.patch(path, json={"status": "paused"}, headers=tag)
    assert first.status_code == 200
    second = await client.patch(path, json={"status": "active"}, headers=tag)
    assert second.status_code == 412
    assert second.json()["type"] == "urn:lift-store:problem:stale-version"
    assert second.json()["actual_version"] == first.json()["version"]
    assert (await client.get(path)).json()["status"] == "paused"


async def test_a_taken_id_is_a_conflict(client: httpx.AsyncClient) -> None:
    """Creating one's own session twice is 409, whatever If-Match says, which means nothing there."""
    chosen = str(uuid4())
    await begun(client, session_id=chosen)
    again = await client.post("/api/sessions", json=NEW | {"session_id": chosen}, headers={"If-Match": '"1"'})
    assert (again.status_code, again.json()["type"]) == (409, "urn:lift-store:problem:session-exists")


async def test_a_repeated_request_stores_once(client: httpx.AsyncClient) -> None:
    """The same Idempotency-Key answers as the first time did; with other content it is refused."""
    created = await begun(client)
    path, key = f"{created.headers['Location']}/revisions", {"Idempotency-Key": str(uuid4())}
    answers = [await client.post(path, json={"content": "Sort it."}, headers=key) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert answers[0].json()["revision_count"] == 2
    other = await client.post(path, json={"content": "Sort it well."}, headers=key)
    assert (other.status_code, other.json()["errors"][0]["field"]) == (422, "header.Idempotency-Key")


async def test_lists_are_pages_by_status(client: httpx.AsyncClient) -> None:
    """A page's cursor leads to the next; a status narrows the list."""
    created = [await begun(client) for _ in range(3)]
    await client.post(f"{created[0].headers['Location']}/abandon", headers={"If-Match": created[0].headers["ETag"]})
    first = (await client.get("/api/sessions", params={"limit": 2})).json()
    rest = (await client.get("/api/sessions", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert (len(first["items"]), len(rest["items"]), rest["next_cursor"]) == (2, 1, None)
    for status, expected in (("active", 2), ("abandoned", 1), ("finalized", 0)):
        found = (await client.get("/api/sessions", params={"status": status})).json()
        assert expected == len(found["items"])


@pytest.mark.parametrize("action", ["finalize", "abandon", ""])
@pytest.mark.parametrize(
    ("sent", "status"),
    [(None, 428), ("*", 400), ('W/"1"', 400), ("1", 400), ('"1", "2"', 400), ('"0"', 400), ('"x"', 400)],
)
async def test_guarded_writes_take_one_strong_tag(client: httpx.AsyncClient, action: str, sent: str | None, status: int) -> None:
    """Without If-Match 428; with one that names no single version 400, which says what it takes."""
    path = (await begun(client)).headers["Location"]
    headers = {} if sent is None else {"If-Match": sent}
    if action:
        answer = await client.post(f"{path}/{action}", headers=headers)
    else:
        answer = await client.patch(path, json={"status": "paused"}, headers=headers)
    assert status == answer.status_code
    assert "If-Match" in answer.json()["detail"]


async def test_an_idempotency_key_is_a_uuid(client: httpx.AsyncClient) -> None:
    """Anything else is 400 and names header, value and what it takes."""
    answer = await client.post("/api/sessions", json=NEW, headers={"Idempotency-Key": "first"})
    assert answer.status_code == 400
    error = answer.json()["errors"][0]
    assert (error["field"], error["value"]) == ("header.Idempotency-Key", "first")
    assert "takes a UUID" in error["message"]


async def test_the_body_names_no_other_hole_than_the_path(client: httpx.AsyncClient) -> None:
    """Two different ids in one request are refused; the same one twice is not."""
    path = (await begun(client)).headers["Location"]
    for sent, status in (("b", 422), ("a", 200)):
        answer = await client.post(f"{path}/holes/a/resolve", json={"hole_id": sent, "resolution_text": "Yes."})
        assert status == answer.status_code
