"""What Supabase's answers and the HTTP client's exceptions mean; and that nothing of a user's gets into our words."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import socket
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lift_store.classify import RETRY_AFTER
from lift_store.errors import (
    ConflictError,
    DeadlineError,
    FailureError,
    InternalError,
    InvalidError,
    InvalidStateError,
    SaturatedError,
    StoreError,
    UnauthenticatedError,
    UnavailableError,
)
from lift_store.supabase.classify import Answer, denial_kind, failure, refusal
from tests.replay.meanings import BY_CODE, BY_CONDITION, EXPIRED, OF_CODE, ONLY_IN, answer_of, expected, refusals
from tests.replay.recorded import VERSIONS

SECRET = "s-e-c-r-e-t"  # noqa: S105 - stands for what a user wrote, and a server quotes


@pytest.mark.parametrize("version", VERSIONS)
def test_every_recorded_answer_has_its_error(version: str) -> None:
    """The error that its meaning asks for, which implies its outcome."""
    conditions = list(refusals(version))
    assert len(conditions) == {"16.2": 241, "14.17": 244}[version]
    for condition in conditions:
        assert type(refusal(answer_of(condition), token_expired=False)) is expected(version, condition), condition.name


def test_no_expectation_is_left_over() -> None:
    """Each is of an answer that was recorded."""
    conditions = [condition for version in VERSIONS for condition in refusals(version)]
    assert OF_CODE.keys() <= {answer_of(condition).code for condition in conditions}
    assert BY_CONDITION.keys() | ONLY_IN["14.17"].keys() <= {condition.name for condition in conditions}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_token_that_has_expired_is_the_callers_to_renew(version: str) -> None:
    """And nothing else is, just because the token has expired: neither other refusals nor another clock's opinion."""
    for condition in refusals(version):
        answer = answer_of(condition)
        error = UnauthenticatedError if answer.code == "PGRST303" else expected(version, condition)
        assert type(refusal(answer, token_expired=True)) is error, condition.name
    assert {one.name for one in refusals(version) if answer_of(one).code == "PGRST303"} >= EXPIRED


@pytest.mark.parametrize("version", VERSIONS)
def test_denials_that_the_database_said_aloud_have_their_kind(version: str) -> None:
    """WITH CHECK by its message, all other 42501 as a missing grant; no other answer is a denial."""
    kinds = {
        condition.name: kind
        for condition in refusals(version)
        if (kind := denial_kind(answer := answer_of(condition), refusal(answer, token_expired=False)))
    }
    assert {name for name, kind in kinds.items() if kind == "with_check"} == {
        "insert_with_check_violation_authenticated",
        "update_give_away_with_check",
    }
    assert kinds.keys() == {one.name for one in refusals(version) if answer_of(one).code == "42501"}
    assert set(kinds.values()) == {"with_check", "grant"}


def test_a_denial_by_using_has_its_kind() -> None:
    """As an upsert onto a hidden row is refused."""
    message = 'new row violates row-level security policy (USING expression) for table "sessions"'
    answer = postgrest("42501", 403, message=message)
    assert denial_kind(answer, refusal(answer, token_expired=False)) == "using"


@pytest.mark.parametrize("version", VERSIONS)
def test_no_recorded_answer_is_a_reason_for_a_tight_loop(version: str) -> None:
    """PostgREST says Retry-After: 0 in every 503; what is worth trying again says when, and later than that."""
    for condition in refusals(version):
        error = refusal(answer_of(condition), token_expired=False)
        if isinstance(error, UnavailableError | SaturatedError):
            assert error.retry_after == RETRY_AFTER, condition.name
        else:
            assert getattr(error, "retry_after", None) is None, condition.name


def postgrest(code: str, status: int, *, message: str = "", hint: str | None = None, details: str | None = None) -> Answer:
    """Read an answer of PostgREST's without its headers, as Supabase Lite sends it."""
    body = json.dumps({"code": code, "message": message, "details": details, "hint": hint})
    return Answer.of(status, {"Content-Type": "application/json"}, body.encode())


@pytest.mark.parametrize(
    ("hint", "status", "error"),
    [
        ("stale_version", 409, ConflictError),
        ("already_exists", 409, ConflictError),
        ("closed", 409, InvalidStateError),
        ("unresolved_ambiguities", 409, InvalidStateError),
        ("operation_reused", 400, InvalidError),
        ("invalid_cursor", 400, InvalidError),
        ("invalid_limit", 400, InvalidError),
        ("nothing_to_set", 400, InvalidError),
        ("no_identity", 401, UnauthenticatedError),
    ],
)
def test_our_own_refusals_keep_their_words(hint: str, status: int, error: type[StoreError]) -> None:
    """They are written for the caller."""
    answer = postgrest(f"PT{status}", status, message="in our words", hint=hint, details='{"actual_version": 7}')
    refused = refusal(answer, token_expired=False)
    assert (type(refused), str(refused)) == (error, "in our words")
    if isinstance(refused, ConflictError):
        assert refused.actual_version == 7


GATEWAYS: list[tuple[int, dict[str, str], bytes, type[StoreError], str]] = [
    (401, {}, b'{"message":"Invalid API key","hint":"Double check your API key."}', InternalError, "SUPABASE_KEY"),
    (401, {"sb-error-code": "UNAUTHORIZED_MISSING_API_KEY"}, b'{"message":"s-e-c-r-e-t"}', InternalError, "SUPABASE_KEY"),
    (403, {}, b"<html>s-e-c-r-e-t</html>", InternalError, "SUPABASE_KEY"),
    (404, {}, b"<html>s-e-c-r-e-t</html>", InternalError, "SUPABASE_URL"),
    (404, {}, b'{"code":404,"message":"s-e-c-r-e-t","details":null,"hint":null}', InternalError, "SUPABASE_URL"),
    (405, {}, b"", InternalError, "SUPABASE_URL"),
    (400, {}, b"The plain HTTP request was sent to HTTPS port", InternalError, "SUPABASE_URL"),
    (302, {"Location": "https://s-e-c-r-e-t"}, b"", InternalError, "SUPABASE_URL"),
    (200, {}, b"[]", InternalError, "SUPABASE_URL"),
    (999, {}, b"", InternalError, "SUPABASE_URL"),
    (402, {}, b'{"message":"exceed_egress_quota"}', InternalError, "restricted"),
    (540, {}, b"<html>s-e-c-r-e-t</html>", UnavailableError, "paused"),
    (413, {}, b"<html>s-e-c-r-e-t</html>", InvalidError, "larger"),
    (429, {"retry-after": "9"}, b"", SaturatedError, "429"),
    (500, {"Content-Type": "text/plain"}, b"Internal Server Error", UnavailableError, "500"),
    (502, {}, b"<html>s-e-c-r-e-t</html>", UnavailableError, "502"),
    (503, {}, b"", UnavailableError, "503"),
    (503, {}, b'["s-e-c-r-e-t"]', UnavailableError, "503"),
    (503, {}, b'{"code":"57014"}', UnavailableError, "503"),
    (503, {"Proxy-Status": "PostgRESTish; error=57014"}, b"", UnavailableError, "503"),
    *((status, {}, b"<html>s-e-c-r-e-t</html>", UnavailableError, str(status)) for status in (520, 521, 522, 523, 530)),
    *((status, {}, b"<html>s-e-c-r-e-t</html>", DeadlineError, str(status)) for status in (408, 504, 524)),
]


@pytest.mark.parametrize(("status", "headers", "body", "error", "word"), GATEWAYS)
def test_what_stands_before_postgrest_speaks_by_its_status(
    status: int, headers: dict[str, str], body: bytes, error: type[StoreError], word: str
) -> None:
    """Its pages and its JSON are not read, not even a code in it."""
    answer = Answer.of(status, headers, body)
    refused = refusal(answer, token_expired=True)
    assert (type(refused), answer.is_postgrest, answer.code, answer.message) == (error, False, "", "")
    assert word in str(refused)
    assert SECRET not in str(refused)


@pytest.mark.parametrize(
    ("code", "status", "message", "error", "word"),
    [
        ("SUP", 500, SECRET, InternalError, "code SUP, HTTP 500"),
        ("22023", 400, 'role "s-e-c-r-e-t" does not exist', InternalError, "role"),
        ("53300", 500, SECRET, SaturatedError, "53300"),
        ("PGRST300", 500, SECRET, InternalError, "PGRST300"),
        ("PGRST302", 401, SECRET, InternalError, "PGRST302"),
        ("PGRSTX00", 500, SECRET, InternalError, "PGRSTX00"),
        (f"{SECRET}; is it?", 500, SECRET, InternalError, "(HTTP 500)"),
        ("", 500, SECRET, UnavailableError, "HTTP 500"),
    ],
)
def test_codes_that_were_not_recorded(code: str, status: int, message: str, error: type[StoreError], word: str) -> None:
    """Of Supabase Lite, of PostgREST's source, and of nobody."""
    refused = refusal(postgrest(code, status, message=message), token_expired=False)
    assert type(refused) is error
    assert word in str(refused)
    assert SECRET not in str(refused)


@pytest.mark.parametrize(
    ("proxy_status", "code"),
    [
        ("PostgREST; error=PGRST205", "PGRST205"),
        ('PostgREST; received-status=404; error="PGRST205"', "PGRST205"),
        ("PostgREST; error=PGRST205, edge; error=http_request_error", "PGRST205"),
        ("edge; error=http_request_error, PostgREST; error=PGRST205", "PGRST205"),
        ("PostgREST; error=", ""),
        ("PostgREST", ""),
    ],
)
def test_an_answer_without_a_body_has_its_code_in_proxy_status(proxy_status: str, code: str) -> None:
    """As that to HEAD, in whatever company and case."""
    answer = Answer.of(404, {"PROXY-Status": proxy_status}, b"")
    assert (answer.is_postgrest, answer.code) == (True, code)


@pytest.mark.parametrize("body", [b"\xff\xfe\xff", b"[" * 100_000, b'{"code":', b"9" * 10_000, b"null", b'"x"', b" " * 5_000_000])
def test_a_body_that_cannot_be_read_is_none(body: bytes) -> None:
    """Invalid UTF-8, nested without end, cut off, longer than anybody's error: the code of the headers still counts."""
    answer = Answer.of(503, {"Proxy-Status": "PostgREST; error=PGRST001"}, body)
    assert (answer.code, answer.message, answer.hint, answer.details) == ("PGRST001", "", None, None)
    assert not Answer.of(503, {}, body).is_postgrest


def test_parts_that_are_no_text_are_none() -> None:
    """A hint that is an object is no hint."""
    body = b'{"code":"PT409","message":1,"details":{},"hint":["closed"]}'
    answer = Answer.of(409, {}, body)
    assert (answer.code, answer.message, answer.details, answer.hint) == ("PT409", "", None, None)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("1.5", None),
        ("-1", None),
        ("", None),
        ("soon", None),
        ("\u00b2", None),
        ("9" * 400, None),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        ("Sun, 06 Nov 1994 08:49:37 -0000", None),
        ("Sun, 06 Nov 99999 08:49:37 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str, seconds: float | None) -> None:
    """Seconds or a date; whatever else it says is not there."""
    assert Answer.of(503, {"Retry-After": header}, b"").retry_after == seconds


def test_retry_after_as_a_date_is_the_time_until_then() -> None:
    """By our clock."""
    header = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    seconds = Answer.of(503, {"Retry-After": header}, b"").retry_after
    assert seconds is not None
    assert 590 < seconds <= 600


@pytest.mark.parametrize(("header", "seconds"), [("0", RETRY_AFTER), ("30", 30.0)])
@pytest.mark.parametrize("proxy_status", ["", "PostgREST; error=57P01", "PostgREST; error=PGRST000", "PostgREST; error="])
def test_the_hint_to_the_caller_is_the_servers_but_never_less_than_ours(header: str, seconds: float, proxy_status: str) -> None:
    """Whoever sent it."""
    refused = refusal(Answer.of(503, {"Retry-After": header, "Proxy-Status": proxy_status}, b""), token_expired=False)
    assert isinstance(refused, UnavailableError)
    assert refused.retry_after == seconds


AIOHTTP: dict[type[FailureError], str] = {
    UnavailableError: """
        ClientError ClientConnectionError ClientConnectionResetError ClientOSError ServerConnectionError ServerDisconnectedError
        ClientPayloadError UploadAbortedError ClientResponseError ContentTypeError WSServerHandshakeError
        ClientConnectorError UnixClientConnectorError ClientConnectorDNSError ClientSSLError ClientConnectorSSLError
        ClientProxyConnectionError ClientHttpProxyError ConnectionTimeoutError
    """,
    DeadlineError: "ServerTimeoutError SocketTimeoutError",
    InternalError: """
        ClientConnectorCertificateError ServerFingerprintMismatch InvalidURL InvalidUrlClientError NonHttpUrlClientError TooManyRedirects
        RedirectClientError InvalidUrlRedirectClientError NonHttpUrlRedirectClientError
    """,
}
HTTPX: dict[type[FailureError], str] = {
    UnavailableError: """
        NetworkError ConnectError ReadError WriteError CloseError ProxyError RemoteProtocolError DecodingError ConnectTimeout
    """,
    SaturatedError: "PoolTimeout",
    DeadlineError: "TimeoutException ReadTimeout WriteTimeout",
    InternalError: """
        HTTPError RequestError TransportError ProtocolError LocalProtocolError UnsupportedProtocol TooManyRedirects HTTPStatusError
        InvalidURL CookieConflict StreamError StreamConsumed StreamClosed ResponseNotRead RequestNotRead
    """,
}
SYSTEM: dict[type[FailureError], tuple[type[Exception], ...]] = {
    UnavailableError: (
        OSError,
        BrokenPipeError,
        ConnectionAbortedError,
        ConnectionRefusedError,
        ConnectionResetError,
        socket.gaierror,
        ssl.SSLError,
        ssl.SSLEOFError,
        ssl.SSLZeroReturnError,
        asyncio.IncompleteReadError,
    ),
    DeadlineError: (TimeoutError,),
    InternalError: (ssl.SSLCertVerificationError, KeyError, ValueError, RuntimeError, AssertionError, json.JSONDecodeError),
}


def subclasses(base: type[Exception]) -> set[type[Exception]]:
    """Every exception of the tree."""
    return {base}.union(*(subclasses(each) for each in base.__subclasses__()))


def of_module(name: str, *roots: type[Exception]) -> dict[str, type[Exception]]:
    """The exceptions of a package below *roots*, by name."""
    found = set().union(*(subclasses(root) for root in roots))
    return {each.__name__: each for each in found if each.__module__.startswith(name)}


EXCEPTIONS = [
    (classes[name], error)
    for table, classes in (
        (AIOHTTP, of_module("aiohttp", aiohttp.ClientError)),
        (HTTPX, of_module("httpx", httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError)),
    )
    for error, names in table.items()
    for name in names.split()
] + [(each, error) for error, classes in SYSTEM.items() for each in classes]


def raised(kind: type[Exception]) -> Exception:
    """Make one without the arguments that each class wants of its own."""
    return kind.__new__(kind, SECRET)


@pytest.mark.parametrize(("kind", "error"), EXCEPTIONS, ids=lambda each: each.__name__)
def test_each_exception_has_its_error(kind: type[Exception], error: type[FailureError]) -> None:
    """And one line without what the exception says."""
    failed = failure(raised(kind))
    assert type(failed) is error
    assert SECRET not in str(failed)
    assert "\n" not in str(failed)
    if isinstance(failed, UnavailableError | SaturatedError):
        assert failed.retry_after == RETRY_AFTER


def test_no_exception_of_the_clients_is_left_out() -> None:
    """Every class of the two packages has its line above, also those of later versions."""
    known = {kind for kind, _ in EXCEPTIONS}
    public = {each for _, each in inspect.getmembers(httpx, inspect.isclass) if issubclass(each, Exception)}
    assert public - known == set()
    assert {each for each in subclasses(aiohttp.ClientError) if each.__module__.startswith("aiohttp")} - known == set()


@pytest.mark.parametrize("kind", [kind for kind, _ in EXCEPTIONS if kind.__module__.startswith("aiohttp")], ids=lambda each: each.__name__)
def test_the_cause_decides_where_the_transport_took_it_for_another(kind: type[Exception]) -> None:
    """httpx-aiohttp makes a ConnectTimeout of nearly everything, and names what it was."""
    mapped = httpx.ConnectTimeout(SECRET)
    mapped.__cause__ = raised(kind)
    assert (type(failure(mapped)), str(failure(mapped))) == (type(failure(mapped.__cause__)), str(failure(mapped.__cause__)))


def test_causes_in_a_circle_end() -> None:
    """No library makes them; a hang would be worse than a wrong line."""
    first, second = KeyError(SECRET), KeyError(SECRET)
    first.__cause__, second.__cause__ = second, first
    assert str(failure(first)) == "the request to Supabase failed with KeyError"


def test_the_system_says_why_a_host_cannot_be_reached() -> None:
    """By the name of the error number, which is nobody's secret."""
    assert str(failure(ConnectionRefusedError(111, SECRET))) == "the host of SUPABASE_URL cannot be reached (ECONNREFUSED)"
    for number_of_another_kind in (ssl.SSLError(1, SECRET), socket.gaierror(8, SECRET)):
        assert "(" not in str(failure(number_of_another_kind))
    assert str(failure(OSError(12345, SECRET))) == "the connection broke before the whole answer was there"


async def test_a_client_that_was_closed_is_a_store_that_is_not_open() -> None:
    """In the words of both clients, which have no class of their own for it."""
    client = httpx.AsyncClient()
    await client.aclose()
    with pytest.raises(RuntimeError) as of_httpx:
        await client.get("http://127.0.0.1")
    session = aiohttp.ClientSession()
    await session.close()
    with pytest.raises(RuntimeError) as of_aiohttp:
        await session.get("http://127.0.0.1")
    for error in (of_httpx.value, of_aiohttp.value):
        assert (type(failure(error)), str(failure(error))) == (UnavailableError, "the store is not open")


TEXTS = st.one_of(
    st.text(max_size=20), st.text(max_size=8).map(lambda text: f"{text}{SECRET}"), st.sampled_from(["stale_version", "PT409"])
)
CODES = st.one_of(st.sampled_from(sorted(" ".join(BY_CODE.values()).split())), TEXTS, st.none(), st.integers())
OBJECTS = st.fixed_dictionaries({}, optional=dict.fromkeys(["message", "details", "hint"], st.one_of(TEXTS, st.none())) | {"code": CODES})
JSON = st.recursive(st.one_of(st.none(), st.booleans(), st.floats(), TEXTS), lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner))
BODIES = st.one_of(st.binary(), st.one_of(OBJECTS, JSON).map(lambda value: json.dumps(value).encode()))
HEADERS = st.dictionaries(
    st.sampled_from(["Proxy-Status", "proxy-status", "Retry-After", "Content-Type"]),
    st.one_of(TEXTS, CODES.map("PostgREST; error={}".format), st.datetimes().map(format_datetime)),
)


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(-1, 1000), HEADERS, BODIES, st.booleans())
def test_whatever_is_answered_is_one_of_our_errors(status: int, headers: dict[str, str], body: bytes, token_expired: bool) -> None:
    """Never an exception, and never what a server said, but for the words of our own functions."""
    answer = Answer.of(status, headers, body)
    error = refusal(answer, token_expired=token_expired)
    assert isinstance(error, StoreError)
    assert denial_kind(answer, error) in {None, "with_check", "using", "grant"}
    if not (re.match("PT", answer.code) and answer.hint == "stale_version"):
        assert SECRET not in str(error)
        assert len(str(error)) < 200
    if isinstance(error, UnavailableError | SaturatedError):
        assert error.retry_after is not None
        assert error.retry_after >= RETRY_AFTER
