"""Whatever a caller sends, each kind of mistake is a 4xx problem of its own, which names field, value and limit; over every store alike."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prometheus_client import CollectorRegistry

from lift_store.api.app import create_app
from lift_store.factory import build_store
from lift_store.settings import Settings
from tests.servers import Database
from tests.unit.api.tokens import SECRET, hs256, token

SESSIONS = "/api/sessions"
SESSION = f"{SESSIONS}/{uuid4()}"
MAX_BODY = 2_097_152
JSON = {"Content-Type": "application/json"}
MATCH = {"If-Match": '"1"'}
SECRET_TEXT = "tell-nobody"  # noqa: S105 - of a prompt


@dataclasses.dataclass(frozen=True)
class Bad:
    """One mistake, and the answer to it: status, type, field, and what else the error says."""

    name: str
    status: int
    slug: str
    field: str
    says: str
    """A part of the message."""
    found: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Value and limit, where the error has them."""
    method: str = "POST"
    path: str = SESSIONS
    body: Any = None
    raw: bytes | None = None
    headers: dict[str, Any] = dataclasses.field(default_factory=dict)


def deep(levels: int) -> Any:
    return json.loads("[" * levels + "]" * levels)


def revision(**changes: Any) -> dict[str, Any]:
    return {"revisions": [{"content": SECRET_TEXT}, {"content": SECRET_TEXT} | changes]}


def new(raw: str) -> bytes:
    return b'{"metadata": {"%s": %s}}' % (SECRET_TEXT.encode(), raw.encode())


STATUSES = "'active', 'paused', 'finalized', 'abandoned' or 'error'"
KINDS = "'initial', 'hole_fill', 'constraint_add' or 'manual_edit'"
TAKES_TAG = "takes one ETag"
TAKES_UUID = "takes a UUID"

IN_THE_URL = [
    Bad("id", 422, "malformed-id", "path.session_id", "valid UUID", {"value": "17"}, "GET", f"{SESSIONS}/17"),
    Bad("id with NUL", 422, "malformed-id", "path.session_id", "valid UUID", {"value": "a\0"}, "GET", f"{SESSIONS}/a%00"),
    Bad("id too long", 422, "malformed-id", "path.session_id", "valid UUID", {"value": "7" * 100}, "GET", f"{SESSIONS}/{'7' * 5000}"),
    Bad(
        "id of a write", 422, "malformed-id", "path.session_id", "valid UUID", {"value": "x"}, path=f"{SESSIONS}/x/drafts", body={"ir": {}}
    ),
    Bad("path no UTF-8", 400, "malformed-url", "path", "byte %FF", {}, path=f"{SESSION}/holes/%ff/resolve", body={"resolution_text": "a"}),
    Bad("path with lone surrogate", 400, "malformed-url", "path", "byte %ED", {}, "GET", f"{SESSIONS}/%ED%A0%80"),
    Bad("query no UTF-8", 400, "malformed-url", "query", "byte %FF", {}, "GET", f"{SESSIONS}?status=%ff"),
    Bad("query with lone surrogate", 400, "malformed-url", "query", "at byte 8", {}, "GET", f"{SESSIONS}?cursor=%ED%A0%80"),
    Bad(
        "hole with NUL",
        *(422, "unstorable-text", "path.hole_id", "has NUL at character 2", {"value": "a\0"}),
        path=f"{SESSION}/holes/a%00/resolve",
        body={"resolution_text": "a"},
    ),
    Bad(
        "hole too long",
        *(422, "wrong-length", "path.hole_id", "is 201 characters long; it takes at most 200", {"value": "a" * 100, "limit": 200}),
        path=f"{SESSION}/holes/{'a' * 201}/resolve",
        body={"resolution_text": "a"},
    ),
    Bad(
        "hole empty",
        *(422, "wrong-length", "path.hole_id", "at least 1", {"value": "", "limit": 1}),
        path=f"{SESSION}/holes//resolve",
        body={"resolution_text": "a"},
    ),
    Bad(
        "status",
        *(422, "unknown-value", "query.status", "it takes 'active'", {"value": "lost", "limit": STATUSES}, "GET"),
        path=f"{SESSIONS}?status=lost",
    ),
    *(
        Bad(f"limit {sent[:24]}", 422, slug, "query.limit", says, found, "GET", f"{SESSIONS}?limit={sent}")
        for sent, slug, says, found in (
            ("0", "number-out-of-range", "is less than 1", {"value": "0", "limit": 1}),
            ("-1", "number-out-of-range", "is less than 1", {"value": "-1", "limit": 1}),
            ("1000000000", "number-out-of-range", "is greater than 200", {"value": "1000000000", "limit": 200}),
            (str(2**64), "number-out-of-range", "is greater than 200", {"value": str(2**64), "limit": 200}),
            ("9" * 5000, "number-out-of-range", "is beyond 64 bits", {"value": "9" * 100}),
            ("many", "wrong-type", "valid integer", {"value": "many"}),
            ("", "wrong-type", "valid integer", {"value": ""}),
            ("1.5", "wrong-type", "valid integer", {"value": "1.5"}),
            ("NaN", "wrong-type", "valid integer", {"value": "NaN"}),
        )
    ),
    *(
        Bad(f"cursor {sent[:8]}", 422, slug, "query.cursor", says, found, "GET", f"{SESSIONS}?cursor={sent}")
        for sent, slug, says, found in (
            ("x", "invalid-cursor", "not made by this list", {"value": "x"}),
            ("", "invalid-cursor", "not made by this list", {"value": ""}),
            ("1.%00", "invalid-cursor", "not made by this list", {"value": "1.\0"}),
            (f"{'9' * 18}.{uuid4()}", "invalid-cursor", "not made by this list", {}),
            ("x" * 201, "wrong-length", "at most 200", {"value": "x" * 100, "limit": 200}),
        )
    ),
]

IN_HEADERS = [
    *(
        Bad(
            f"If-Match of {method} {child}",
            428,
            "if-match-required",
            "header.If-Match",
            f"is missing; it {TAKES_TAG}",
            {},
            method,
            path,
            body,
        )
        for method, child, path, body in (
            ("PATCH", "", SESSION, {"status": "paused"}),
            ("POST", "finalize", f"{SESSION}/finalize", None),
            ("POST", "abandon", f"{SESSION}/abandon", None),
        )
    ),
    *(
        Bad(
            f"If-Match {sent!r:.24}",
            *(400, "bad-header", "header.If-Match", TAKES_TAG, {"value": sent[:100].decode("latin-1")}, "PATCH", SESSION),
            body={"status": "paused"},
            headers={"If-Match": sent},
        )
        for sent in (
            b"*",
            b'W/"1"',
            b"1",
            b'"1", "2"',
            b'"0"',
            b'"-1"',
            b'"x"',
            b'""',
            b"",
            b'"\xff"',
            b'"1" ' + b"1" * 5000,
            b'"9223372036854775808"',
            b'"\xb2"',
        )
    ),
    *(
        Bad(
            f"Idempotency-Key {sent!r:.24}",
            *(400, "bad-header", "header.Idempotency-Key", TAKES_UUID, {"value": sent[:100].decode("latin-1")}),
            body={},
            headers={"Idempotency-Key": sent},
        )
        for sent in (b"first", b"", b"\xff", b"7" * 5000, b"0b7b6c1e-9a55-4c83-8f0e-5f2a4f0a8_1", str(uuid4()).encode() * 2)
    ),
    *(
        Bad(
            f"type {media!r}",
            *(415, "unsupported-media-type", "header.Content-Type", "takes application/json", {"value": media}),
            raw=b"{}",
            headers={"Content-Type": media},
        )
        for media in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/merge-patch+json", "json", "")
    ),
    Bad("no type", 415, "unsupported-media-type", "header.Content-Type", "takes application/json", {"value": ""}, raw=b"{}"),
    Bad(
        "gzip",
        *(415, "unsupported-content-encoding", "header.Content-Encoding", "takes no compressed body", {"value": "gzip"}),
        raw=b"\x1f\x8b",
        headers=JSON | {"Content-Encoding": "gzip"},
    ),
    Bad(
        "announced length",
        *(413, "body-too-large", "body", f"at most {MAX_BODY} bytes", {"limit": MAX_BODY}),
        raw=b"{}",
        headers=JSON | {"Content-Length": "9" * 5000},
    ),
]

IN_THE_BODY = [
    Bad(
        "10 MB",
        *(413, "body-too-large", "body", "is announced as 10000000 bytes; it may have at most", {"limit": MAX_BODY}),
        raw=b" " * 10_000_000,
        headers=JSON,
    ),
    *(
        Bad(name, status, slug, "body", says, found, raw=raw, headers=JSON)
        for name, raw, status, slug, says, found in (
            ("empty", b"", 422, "missing-field", "is missing", {}),
            ("no JSON", b'{"metadata": }', 400, "malformed-body", "stops being JSON at character 14", {}),
            ("cut off", b'{"metadata": {', 400, "malformed-body", "stops being JSON at character 15", {}),
            ("two values", b"{} {}", 400, "malformed-body", "stops being JSON at character 4", {}),
            ("control character", b'{"metadata": {"a": "\n"}}', 400, "malformed-body", "stops being JSON at character 21", {}),
            ("no UTF-8", b'{"\xff": 1}', 400, "malformed-body", "is not UTF-8 at byte 3", {}),
            ("UTF-16", "{}".encode("utf-16"), 400, "malformed-body", "is not UTF-8 at byte 1", {}),
            ("null", b"null", 422, "wrong-type", "is null, not an object", {}),
            ("array", b"[{}]", 422, "wrong-type", "is an array, not an object", {}),
            ("text", b'"tell-nobody"', 422, "wrong-type", "is a string, not an object", {}),
            ("number", b"1", 422, "wrong-type", "is a number, not an object", {}),
            ("boolean", b"true", 422, "wrong-type", "is a boolean, not an object", {}),
            ("only NaN", b"NaN", 400, "malformed-body", "is NaN, which is no number in JSON", {"value": "NaN"}),
            ("100,000 arrays", b"[" * 100_000 + b"]" * 100_000, 422, "nested-too-deep", "is nested 100000 deep", {"limit": 64}),
            ("100,000 open", b'{"metadata":' * 100_000, 422, "nested-too-deep", "is nested 100000 deep", {"limit": 64}),
        )
    ),
    Bad("unknown field", 422, "unknown-field", "body.colour", "is no field of this request", {}, body={"colour": SECRET_TEXT}),
    Bad("user_id", 422, "unknown-field", "body.user_id", "is no field of this request", {}, body={"user_id": str(uuid4())}),
    Bad("unknown field inside", 422, "unknown-field", "body.revisions.1.colour", "is no field", {}, body=revision(colour=SECRET_TEXT)),
    Bad(
        "unknown field with surrogate",
        422,
        "unstorable-text",
        "body",
        "has a lone surrogate at character 1",
        {},
        raw=rb'{"\ud800": 1}',
        headers=JSON,
    ),
    Bad(
        "field twice",
        400,
        "duplicate-key",
        "body.source",
        "is there twice",
        {},
        raw=b'{"source": "prompt", "source": "prompt"}',
        headers=JSON,
    ),
    Bad(
        "field twice inside",
        *(400, "duplicate-key", "body.revisions.0.content", "is there twice", {}),
        raw=b'{"revisions": [{"content": "tell-nobody", "content": "tell-nobody"}]}',
        headers=JSON,
    ),
    Bad("id chosen", 422, "malformed-id", "body.session_id", "valid UUID", {"value": "17"}, body={"session_id": "17"}),
    Bad(
        "source",
        422,
        "unknown-value",
        "body.source",
        "it takes",
        {"value": "x", "limit": "'prompt' or 'reverse_mode'"},
        body={"source": "x"},
    ),
    Bad(
        "enumeration inside",
        *(422, "unknown-value", "body.revisions.1.revision_type", "it takes 'initial'", {"value": "lost", "limit": KINDS}),
        body=revision(revision_type="lost"),
    ),
    Bad(
        "enumeration with a sentence",
        *(422, "unknown-value", "body.revisions.1.revision_type", "it takes 'initial'", {"limit": KINDS}),
        body=revision(revision_type=f"{SECRET_TEXT} anything"),
    ),
    Bad("field missing", 422, "missing-field", "body.content", "is missing", {}, path=f"{SESSION}/revisions", body={}),
    Bad("field missing inside", 422, "missing-field", "body.revisions.0.content", "is missing", {}, body={"revisions": [{}]}),
    Bad("text NUL", 422, "unstorable-text", "body.revisions.1.content", "has NUL at character 5", {}, body=revision(content="tell\0")),
    Bad(
        "text surrogate",
        *(422, "unstorable-text", "body.revisions.0.content", "has a lone surrogate at character 2", {}),
        raw=rb'{"revisions": [{"content": "a\ud800"}]}',
        headers=JSON,
    ),
    Bad("text empty", 422, "wrong-length", "body.revisions.1.content", "at least 1", {"limit": 1}, body=revision(content="")),
    Bad(
        "text too long",
        *(422, "wrong-length", "body.revisions.1.content", "is 100001 characters long; it takes at most 100000", {"limit": 100_000}),
        body=revision(content="x" * 100_001),
    ),
    Bad("text is a number", 422, "wrong-type", "body.revisions.1.content", "valid string", {"value": 5}, body=revision(content=5)),
    Bad(
        "answer NUL",
        *(422, "unstorable-text", "body.resolution_text", "has NUL at character 1", {}),
        path=f"{SESSION}/holes/a/resolve",
        body={"resolution_text": "\0"},
    ),
    Bad(
        "other hole",
        422,
        "invalid-request",
        "body.hole_id",
        "is not the hole",
        {},
        path=f"{SESSION}/holes/a/resolve",
        body={"hole_id": "b", "resolution_text": "x"},
    ),
    Bad(
        "ambiguity",
        422,
        "unstorable-text",
        "body.ambiguities.1",
        "has NUL at character 2",
        {},
        path=f"{SESSION}/drafts",
        body={"ir": {}, "ambiguities": ["a", "b\0"]},
    ),
    Bad(
        "too many entries",
        *(422, "wrong-length", "body.ambiguities", "has 1001 entries; it takes at most 1000", {"limit": 1000}),
        path=f"{SESSION}/drafts",
        body={"ir": {}, "ambiguities": ["a"] * 1001},
    ),
    Bad(
        "draft's version",
        422,
        "number-out-of-range",
        "body.version",
        "is less than 1",
        {"value": 0, "limit": 1},
        path=f"{SESSION}/drafts",
        body={"ir": {}, "version": 0},
    ),
    Bad(
        "draft's own version",
        422,
        "invalid-request",
        "body.version",
        "the store assigns it",
        {},
        path=f"{SESSION}/drafts",
        body={"ir": {}, "version": 1},
    ),
    Bad(
        "number beyond 64 bits",
        *(422, "number-out-of-range", "body.version", "is 9223372036854775808, beyond 64 bits", {"value": "9223372036854775808"}),
        path=f"{SESSION}/drafts",
        body={"ir": {}, "version": 2**63},
    ),
    Bad(
        "float beyond 64 bits",
        *(422, "number-out-of-range", "body.version", "is beyond 64 bits", {"value": -1.7976931348623157e308}),
        path=f"{SESSION}/drafts",
        body={"ir": {}, "version": -1.7976931348623157e308},
    ),
    Bad(
        "number of 5000 digits",
        *(422, "number-out-of-range", "body.version", "is an integer of 5000 digits, beyond 64 bits", {}),
        path=f"{SESSION}/drafts",
        raw=b'{"ir": {}, "version": ' + b"9" * 5000 + b"}",
        headers=JSON,
    ),
    Bad(
        "time",
        422,
        "malformed-time",
        "body.revisions.1.timestamp",
        "datetime",
        {"value": "yesterday"},
        body=revision(timestamp="yesterday"),
    ),
    Bad(
        "time without zone",
        422,
        "malformed-time",
        "body.revisions.1.timestamp",
        "timezone",
        {"value": "2024-01-01T00:00:00"},
        body=revision(timestamp="2024-01-01T00:00:00"),
    ),
    Bad(
        "time before all years",
        422,
        "malformed-time",
        "body.revisions.1.timestamp",
        "outside the years 1 to 9999",
        {},
        body=revision(timestamp="0001-01-01T00:00:00+14:00"),
    ),
    Bad(
        "no boolean",
        422,
        "wrong-type",
        "body.applied",
        "valid boolean",
        {"value": "maybe"},
        path=f"{SESSION}/holes/a/resolve",
        body={"resolution_text": "a", "applied": "maybe"},
    ),
    Bad("nothing to set", 422, "invalid-request", "body", "nothing to set", {}, "PATCH", SESSION, {}, headers=MATCH),
    Bad(
        "status of a patch",
        422,
        "unknown-value",
        "body.status",
        "it takes",
        {"value": "lost", "limit": STATUSES},
        "PATCH",
        SESSION,
        {"status": "lost"},
        headers=MATCH,
    ),
]

IN_A_DOCUMENT = [
    *(
        Bad(f"document {name}", status, slug, "body.metadata", says, found, raw=new(raw), headers=JSON)
        for name, raw, status, slug, says, found in (
            ("NUL", r'"tell-nobody\u0000"', 422, "unstorable-text", "U+0000, which cannot be stored, at character 12", {}),
            ("key with NUL", r'{"tell-nobody\u0000": 1}', 422, "unstorable-text", "U+0000", {}),
            ("surrogate", r'["tell-nobody\udfff"]', 422, "unstorable-text", "U+DFFF", {}),
            ("key with surrogate", r'{"tell-nobody\ud800": 1}', 422, "unstorable-text", "U+D800", {}),
            ("2^63", str(2**63), 422, "number-out-of-range", "holds 9223372036854775808, beyond 64 bits", {"value": str(2**63)}),
            ("-2^63-1", str(-(2**63) - 1), 422, "number-out-of-range", "beyond 64 bits", {"value": str(-(2**63) - 1)}),
            ("5000 digits", "9" * 5000, 422, "number-out-of-range", "holds an integer of 5000 digits, beyond 64 bits", {}),
            ("1e400", "-1e400", 422, "number-out-of-range", "holds -1e400, beyond 64 bits", {"value": "-1e400"}),
            ("1e16", "1e16", 422, "number-out-of-range", "from 1e+16 on", {}),
            ("NaN", "NaN", 400, "malformed-body", "holds NaN, which is no number in JSON", {"value": "NaN"}),
            ("Infinity", "[-Infinity]", 400, "malformed-body", "holds -Infinity", {"value": "-Infinity"}),
            ("key twice", '{"tell-nobody": 1, "tell-nobody": 2}', 400, "duplicate-key", "holds an object with a key twice", {}),
            ("70 levels", "[" * 69 + "]" * 69, 422, "nested-too-deep", "is nested 70 deep; the limit is 64 levels", {"limit": 64}),
            ("too large", f'"{"x" * 16_384}"', 422, "document-too-large", "bytes as JSON; the limit is 16384", {"limit": 16_384}),
        )
    ),
    Bad(
        "document's own key with surrogate",
        422,
        "unstorable-text",
        "body.metadata",
        "U+D800",
        {},
        raw=rb'{"metadata": {"tell-nobody\ud800": 1}}',
        headers=JSON,
    ),
    Bad("document is a list", 422, "wrong-type", "body.metadata", "valid dictionary", {}, body={"metadata": [SECRET_TEXT]}),
    Bad(
        "document of a patch",
        422,
        "unstorable-text",
        "body.metadata",
        "U+0000",
        {},
        "PATCH",
        SESSION,
        {"metadata": {"a": "\0"}},
        headers=MATCH,
    ),
    Bad(
        "document of a child",
        422,
        "nested-too-deep",
        "body.revisions.1.metadata",
        "nested 71 deep",
        {"limit": 64},
        body=revision(metadata={"a": deep(70)}),
    ),
    Bad(
        "IR",
        422,
        "number-out-of-range",
        "body.ir_drafts.0.ir",
        "holds 1e400",
        {"value": "1e400"},
        raw=b'{"ir_drafts": [{"ir": {"a": [1e400]}}]}',
        headers=JSON,
    ),
    Bad(
        "IR too large",
        422,
        "document-too-large",
        "body.ir",
        "the limit is 1048576",
        {"limit": 1_048_576},
        path=f"{SESSION}/drafts",
        body={"ir": {"a": "x" * 1_048_576}},
    ),
    Bad(
        "SMT results",
        422,
        "unstorable-text",
        "body.smt_results",
        "U+0000",
        {},
        path=f"{SESSION}/drafts",
        body={"ir": {}, "smt_results": [{"a": "\0"}]},
    ),
]

ROWS = [*IN_THE_URL, *IN_HEADERS, *IN_THE_BODY, *IN_A_DOCUMENT]


@pytest.fixture(params=["memory", "postgres"])
async def caller(request: pytest.FixtureRequest, registry: CollectorRegistry, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of a signed-in user, of the API over each store."""
    settings = Settings.load(backend_choice=request.param, database_url=database.app, jwt_secret=SECRET)
    async with build_store(settings, registry) as store:
        app = create_app(store, verifier=hs256(), settings=settings, registry=registry)
        headers = {"Authorization": f"Bearer {token(uuid4())}"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api", headers=headers) as client:
            yield client


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    assert (status, "application/problem+json") == (answer.status_code, answer.headers["Content-Type"]), answer.text
    found: dict[str, Any] = answer.json()
    assert (status, f"urn:lift-store:problem:{slug}") == (found["status"], found["type"]), answer.text
    assert {"type", "title", "status", "detail", "errors"} == set(found)
    return found


async def send(client: httpx.AsyncClient, bad: Bad) -> httpx.Response:
    content = bad.raw if bad.body is None else json.dumps(bad.body).encode()
    headers = bad.headers if bad.body is None else JSON | bad.headers
    return await client.request(bad.method, bad.path, content=content, headers=headers)


@pytest.mark.parametrize("bad", ROWS, ids=lambda bad: bad.name)
async def test_each_mistake_is_a_problem_of_its_own(caller: httpx.AsyncClient, bad: Bad) -> None:
    """Its type says which, its one error says field, value and limit, and neither text nor document is sent back."""
    answer = await send(caller, bad)
    found = problem(answer, bad.status, bad.slug)
    [error] = found["errors"]
    assert (bad.field, found["type"]) == (error["field"], error["type"])
    assert bad.says in error["message"]
    assert bad.says in found["detail"]
    extras = {name: error[name] for name in ("value", "limit") if name in error}
    assert bad.found == extras or (not bad.found and bad.slug == "invalid-cursor")
    assert SECRET_TEXT not in answer.text
    assert len(answer.content) < 1500


def test_every_kind_has_a_row() -> None:
    """A row's name is its own, and every place is there: path, query, header, body, document."""
    assert len(ROWS) == len({row.name for row in ROWS})
    assert {"path", "query", "header", "body"} == {row.field.partition(".")[0] for row in ROWS}
    assert len({row.slug for row in ROWS}) >= 20


async def test_several_mistakes_are_listed(caller: httpx.AsyncClient) -> None:
    """One answer names them all: of one kind the problem is that kind, of several it is the general one."""
    answer = await caller.get(f"{SESSIONS}?limit=0&status=lost")
    found = problem(answer, 422, "invalid-request")
    assert found["detail"] == "2 of the request's values cannot be right."
    assert {"query.limit", "query.status"} == {error["field"] for error in found["errors"]}
    answer = await caller.post(SESSIONS, json={"colour": 1, "size": 2})
    assert len(problem(answer, 422, "unknown-field")["errors"]) == 2


async def test_a_body_without_a_length_is_read_up_to_the_limit(caller: httpx.AsyncClient) -> None:
    """A chunked body announces none; no more of it is read than may come."""
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b" " * 65_536

    answer = await caller.post(SESSIONS, content=endless(), headers=JSON)
    assert problem(answer, 413, "body-too-large")["errors"][0]["limit"] == MAX_BODY
    assert answer.headers["Connection"] == "close"
    assert read <= MAX_BODY // 65_536 + 2


@pytest.mark.parametrize(
    ("raw", "slug"),
    [
        (b'{"metadata": [' + b"1," * 1_000_000 + b"NaN]}", "malformed-body"),
        (b'{"metadata": {' + b"".join(b'"%d":1,' % number for number in range(150_000)) + b'"0":1}}', "duplicate-key"),
        (b'{"metadata": ' + b"[" * 600 + b"]" * 600 + b"}", "wrong-type"),
        (b'{"metadata": {"a": ' + b"[" * 550 + b"]" * 550 + b"}}", "nested-too-deep"),
        (b"[" * 1_000_000 + b"]" * 1_000_000, "nested-too-deep"),
        (b'{"metadata": {"a": ' + b"9" * 2_000_000 + b"}}", "number-out-of-range"),
        (b'{"revisions": [' + b"{}," * 600_000 + b"{}]}", "wrong-length"),
        (b'{"ir_drafts": [{"ir": {}, "ambiguities": [' + b"1," * 900_000 + b"1]}]}", "wrong-length"),
        (b'{"ir_drafts": [{"ir": {}, "smt_results": [' + b"1," * 900_000 + b"1]}]}", "wrong-length"),
        (b'{"ir_drafts": [' + b",".join([b'{"ir":{},"ambiguities":[' + b"1," * 900 + b"1]}"] * 1000) + b"]}", "wrong-type"),
        (b"{" + b"".join(b'"%d":1,' % number for number in range(150_000)) + b'"a":1}', "unknown-field"),
        (b'{"revisions": [{' + b"".join(b'"%d":1,' % number for number in range(150_000)) + b'"a":1}]}', "unknown-field"),
    ],
    ids=[
        "a million places",
        "many keys",
        "600 levels",
        "550 levels",
        "a million levels",
        "a million digits",
        "many children",
        "many ambiguities",
        "many results",
        "many of many",
        "many fields",
        "many fields inside",
    ],
)
async def test_a_mistake_in_a_great_body_is_found_fast(caller: httpx.AsyncClient, raw: bytes, slug: str) -> None:
    """Whatever it is, it takes no more than a second or so, more on a busy machine: meanwhile all other callers wait."""
    started = time.perf_counter()
    answer = await caller.post(SESSIONS, content=raw, headers=JSON)
    assert time.perf_counter() - started < 5
    found = answer.json()
    assert f"urn:lift-store:problem:{slug}" in {found["type"], *(error["type"] for error in found["errors"])}, answer.text[:500]
    assert answer.status_code in (400, 422)
    assert len(answer.content) < 30_000


async def test_of_a_route_without_a_body_none_is_read(caller: httpx.AsyncClient) -> None:
    """Whatever it is, of whatever type and size: it changes nothing."""

    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError
        yield b""

    for method, path in (("GET", SESSIONS), ("GET", SESSION), ("DELETE", SESSION), ("POST", f"{SESSION}/finalize")):
        answer = await caller.request(method, path, content=unread(), headers=MATCH | {"Content-Type": "text/plain"})
        assert answer.status_code == (200 if path == SESSIONS else 404), answer.text


@pytest.mark.parametrize("name", ["If-Match", "Idempotency-Key"])
async def test_a_header_twice_is_a_list(caller: httpx.AsyncClient, name: str) -> None:
    """Neither takes one, so that none of two is chosen in silence."""
    value = {"If-Match": '"1"', "Idempotency-Key": str(uuid4())}[name]
    headers = [("Content-Type", "application/json"), (name, value), (name, value)]
    answer = await caller.patch(
        SESSION, content=b'{"status": "paused"}', headers=headers + ([] if name == "If-Match" else [*MATCH.items()])
    )
    assert problem(answer, 400, "bad-header")["errors"][0]["value"] == f"{value}, {value}"


async def test_a_key_with_other_content_is_a_problem_of_its_own(caller: httpx.AsyncClient) -> None:
    """On every route that writes; the answer names the key."""
    key = {"Idempotency-Key": str(uuid4())}
    created = await caller.post(SESSIONS, json=revision(), headers=key)
    assert created.status_code == 201
    path = created.headers["Location"]
    for method, route, body in (
        ("POST", SESSIONS, {"metadata": {"other": SECRET_TEXT}}),
        ("PATCH", path, {"status": "paused"}),
        ("POST", f"{path}/revisions", {"content": SECRET_TEXT}),
        ("POST", f"{path}/drafts", {"ir": {}}),
        ("POST", f"{path}/holes/a/resolve", {"resolution_text": SECRET_TEXT}),
        ("POST", f"{path}/finalize", None),
        ("POST", f"{path}/abandon", None),
        ("DELETE", path, None),
    ):
        answer = await caller.request(method, route, json=body, headers=key | MATCH)
        [error] = problem(answer, 422, "idempotency-key-reused")["errors"]
        assert ("header.Idempotency-Key", key["Idempotency-Key"]) == (error["field"], error["value"])
        assert SECRET_TEXT not in answer.text
    assert (await caller.get(path)).json()["version"] == created.json()["version"]


async def test_what_is_just_allowed_is_stored(caller: httpx.AsyncClient) -> None:
    """The limits themselves, and what looks like a mistake but is none."""
    session: dict[str, Any] = {
        "revisions": [
            {"content": "\U0001f600" * 100_000, "timestamp": "0001-01-01T00:00:00Z"},
            {"content": r"\u0000 and \ud800 spelled out"},
        ],
        "metadata": {"integers": [2**63 - 1, -(2**63)], "float": 9.9e15, "": 0, "emoji": "\U0001f600", "deep": deep(63)},
    }
    created = await caller.post(SESSIONS, content=json.dumps(session), headers=JSON | {"Content-Encoding": "Identity"})
    assert created.status_code == 201, created.text
    whole = (await caller.get(created.headers["Location"])).json()
    assert session["metadata"] == whole["metadata"]
    assert [item["content"] for item in session["revisions"]] == [item["content"] for item in whole["revisions"]]
