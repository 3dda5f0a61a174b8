"""Every error is a problem that names what is wrong and repeats no content."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prometheus_client import CollectorRegistry

from lift_store.api.problems import from_store
from lift_store.api.service import Service
from lift_store.errors import (
    DeadlineError,
    DeniedError,
    InternalError,
    SaturatedError,
    StoreError,
    UnauthenticatedError,
    UnavailableError,
)

SESSION = f"/api/sessions/{uuid4()}"


def check(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    assert (status, f"urn:lift-store:problem:{slug}") == (answer.status_code, answer.json()["type"])
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize("path", ["/", "/api", "/api/sessions/", "/metrics", "/status", "/nothing"])
async def test_an_unknown_path_is_a_problem(stranger: httpx.AsyncClient, path: str) -> None:
    """Operators' paths without an operator token configured are as unknown as any other."""
    unknown = await stranger.get("/nothing")
    answer = await stranger.get(path, follow_redirects=False)
    check(answer, 404, "unknown-route")
    assert unknown.content == answer.content


async def test_a_wrong_method_lists_the_right_ones(stranger: httpx.AsyncClient) -> None:
    """Allow has every method of the path, not only those of its first route."""
    answer = await stranger.put(SESSION)
    check(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == "DELETE, GET, PATCH"


@pytest.mark.parametrize("content", [b"{", b"\xff", b'{"a":' * 100_000, b"", b"null"])
async def test_a_body_that_is_no_json_object_is_refused(client: httpx.AsyncClient, content: bytes) -> None:
    """Broken, undecodable, endlessly nested, missing or not an object: a 4xx problem, never a 5xx."""
    answer = await client.post("/api/sessions", content=content[:60_000], headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_a_broken_limit_names_field_and_limit_but_no_content(client: httpx.AsyncClient) -> None:
    """What the caller wrote is not sent back."""
    revisions = [{"content": "secret prompt", "revision_type": "secret kind"}, {"content": "secret\x00"}]
    answer = await client.post("/api/sessions", json={"revisions": revisions})
    problem = check(answer, 422, "invalid-request")
    assert [error["field"] for error in problem["errors"]] == ["body.revisions.0.revision_type", "body.revisions.1.content"]
    assert "'initial'" in problem["errors"][0]["limit"]
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("metadata", "slug", "complaint"),
    [
        ({"a": "secret\x00"}, "unstorable-text", "metadata holds the character U+0000, which cannot be stored, at character 7"),
        ({"a": "secret" * 5000}, "document-too-large", "the limit is 16384"),
        ({"secret": 2**63}, "number-out-of-range", "holds 9223372036854775808, beyond 64 bits"),
        ({"secret": json.loads("[" * 70 + "]" * 70)}, "nested-too-deep", "metadata is nested 71 deep; the limit is 64 levels"),
    ],
)
async def test_a_document_that_cannot_be_stored_is_named_without_its_content(
    client: httpx.AsyncClient, metadata: dict[str, object], slug: str, complaint: str
) -> None:
    """The field and what it breaks."""
    answer = await client.post("/api/sessions", json={"metadata": metadata})
    problem = check(answer, 422, slug)
    assert problem["errors"][0]["field"] == "body.metadata"
    assert complaint in problem["errors"][0]["message"]
    assert "secret" not in answer.text


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
async def test_a_body_of_another_type_is_refused(client: httpx.AsyncClient, media: str) -> None:
    """Only application/json is read."""
    answer = await client.post("/api/sessions", content=b"{}", headers={"Content-Type": media})
    check(answer, 415, "unsupported-media-type")


async def test_a_charset_is_no_other_type(client: httpx.AsyncClient) -> None:
    """Parameters of the media type do not matter."""
    answer = await client.post("/api/sessions", content=b"{}", headers={"Content-Type": "Application/JSON; charset=utf-8"})
    assert answer.status_code == 201


async def test_a_body_announced_too_large_is_not_read(client: httpx.AsyncClient) -> None:
    """Content-Length alone is enough to refuse it."""
    answer = await client.post("/api/sessions", content=b"x" * 65_537, headers={"Content-Type": "application/json"})
    assert check(answer, 413, "body-too-large")["errors"][0]["limit"] == 65_536


async def test_a_body_without_length_is_read_up_to_the_limit(client: httpx.AsyncClient) -> None:
    """A chunked body announces nothing; reading stops where the limit is passed."""
    read = 0

    async def endless() -> Any:
        nonlocal read
        while True:
            read += 1
            yield b" " * 16_384

    answer = await client.post("/api/sessions", content=endless(), headers={"Content-Type": "application/json"})
    check(answer, 413, "body-too-large")
    assert read <= 6


@pytest.mark.parametrize(
    ("error", "status", "slug", "retry"),
    [
        (UnavailableError("at 10.0.0.1", retry_after=2.5), 503, "unavailable", "3"),
        (SaturatedError("all 10"), 503, "saturated", "1"),
        (DeadlineError("5 s"), 503, "timeout", "1"),
        (DeniedError("policy x", kind="using"), 403, "denied", None),
        (UnauthenticatedError("role x"), 401, "unauthenticated", None),
        (InternalError("missing function x"), 500, "internal", None),
    ],
)
def test_a_stores_failure_tells_no_detail(error: StoreError, status: int, slug: str, retry: str | None) -> None:
    """The status says whether to try again; the text about our own set-up stays inside."""
    problem = from_store(error, guarded=False)
    assert (status, slug) == (problem.status_code, problem.kind.slug)
    assert retry == (problem.headers or {}).get("Retry-After")
    assert str(error) not in problem.detail


async def test_an_unforeseen_error_is_a_bare_500(
    service: Service, client: httpx.AsyncClient, registry: CollectorRegistry, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever breaks, the caller gets a problem with a request id, and neither he nor the log the exception's text."""

    class Broken:
        async def get(self, _: object) -> None:
            raise RuntimeError("secret prompt")

    service.store.as_user = lambda _: Broken()  # type: ignore[method-assign, assignment, return-value]
    answer = await client.get(SESSION, headers={"X-Request-ID": "my-id.1"})
    check(answer, 500, "internal")
    assert answer.headers["X-Request-ID"] == "my-id.1"
    labels = {"method": "GET", "route": "/api/sessions/{session_id}", "status_class": "5xx"}
    assert registry.get_sample_value("lift_store_http_request_duration_seconds_count", labels) == 1
    assert "secret prompt" not in answer.text + "".join(capfd.readouterr())
