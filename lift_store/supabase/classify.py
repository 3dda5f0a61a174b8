"""What an answer that is no success means, and what an exception of the HTTP client means: one table to our errors.

Who answered decides first. PostgREST says a code, its own (PGRSTnnn) or a SQLSTATE, which lift_store.classify knows. Whatever stands before
PostgREST says an HTTP status only: its pages and its JSON are not read. No error repeats what a server said, since that may quote what
the user sent; but for the refusals of our own functions, which are written for the caller.
"""

from __future__ import annotations

import asyncio
import errno
import json
import math
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, Self

import aiohttp
import httpx

from lift_store import classify
from lift_store.errors import (
    DeadlineError,
    FailureError,
    InternalError,
    InvalidError,
    SaturatedError,
    StoreError,
    UnauthenticatedError,
    UnavailableError,
)

_MAX_BODY: Final = 4 * 1_048_576
"""Bytes; what is longer is not read. PostgreSQL's longest messages quote one value of the request."""
_KEYS: Final = {"code", "message", "details", "hint"}
_PROXY_STATUS: Final = re.compile(r"(?:^|,)\s*PostgREST(?=[\s;,]|$)(?:[^,]*?;\s*error=\"?([^\"\s;,]*))?", re.ASCII)
_SQLSTATE: Final = re.compile(r"[0-9A-Z]{5}", re.ASCII)
_SAFE_CODE: Final = re.compile(r"[A-Za-z0-9]{1,12}", re.ASCII)

_Row = tuple[type[StoreError], str]

# PostgREST's own codes, else their first six characters, else "PGRST"
_MIGRATE: Final = "run: lift-store migrate up, then in SQL: notify pgrst, 'reload schema'"
BY_CODE: Final[dict[str, _Row]] = {
    "": (UnavailableError, "PostgREST lost its connection to the database"),
    "PGRST": (InternalError, "PostgREST failed, or refused our request, for a reason that we do not know"),
    "PGRST000": (UnavailableError, "PostgREST cannot connect to the database"),
    "PGRST001": (UnavailableError, "PostgREST lost its connection to the database"),
    "PGRST002": (UnavailableError, "PostgREST cannot read the schema from the database"),
    "PGRST003": (SaturatedError, "every database connection of PostgREST stayed in use; see its db-pool"),
    "PGRST1": (InternalError, "PostgREST does not take our request; a bug of ours, or of what stands before SUPABASE_URL"),
    "PGRST106": (InternalError, "the schema public is not exposed; add it to the Data API's schemas (PostgREST's db-schemas)"),
    "PGRST125": (InternalError, "PostgREST does not know the path; SUPABASE_URL must be the project's address without a path"),
    "PGRST2": (InternalError, f"PostgREST does not find our functions; {_MIGRATE}"),
    "PGRST3": (InternalError, "PostgREST has no key to check tokens with, or takes none; set its jwt-secret to the project's"),
    "PGRST301": (InternalError, "PostgREST refused a token that we had verified; SUPABASE_JWT_SECRET or the JWKS is another project's"),
    "PGRST302": (InternalError, "our request reached PostgREST without its token; see what stands before SUPABASE_URL"),
    "PGRST303": (InternalError, "PostgREST refused a token's claims that we take; compare clocks and its jwt-aud with ours"),
}
"""What PostgREST's own codes mean."""

BY_STATUS: Final[dict[int, _Row]] = {
    0: (InternalError, "no answer that HTTP knows; check SUPABASE_URL"),
    3: (InternalError, "a redirect; SUPABASE_URL must be the project's own address"),
    4: (InternalError, "the gateway refused the request; check SUPABASE_URL"),
    # 500 in plain text is Supabase Lite without its database; the others are of those that found nobody behind them
    5: (UnavailableError, "the gateway got no answer from PostgREST"),
    401: (InternalError, "the gateway refused our API key; check SUPABASE_KEY"),
    402: (InternalError, "the project is restricted; see quota and bills of its organization"),
    403: (InternalError, "the gateway refused our API key or our address; check SUPABASE_KEY"),
    404: (InternalError, "PostgREST is not there; check SUPABASE_URL"),
    # these, unlike the other 5xx, had sent the request on: whether it was carried out is as unknown as after a deadline of ours
    408: (DeadlineError, "the gateway gave the request up"),
    504: (DeadlineError, "the gateway gave the request up"),
    524: (DeadlineError, "the gateway gave the request up"),
    # only who sent it can mend it, by sending less
    413: (InvalidError, "the request is larger than the gateway takes"),
    429: (SaturatedError, "the gateway takes no more requests for now"),
    540: (UnavailableError, "the project is paused; restore it in the dashboard"),
}
"""What HTTP status means of an answer that is not PostgREST's, else its first digit, else 0."""

_URL: Final = "SUPABASE_URL cannot be called; check it"
_UNREACHABLE: Final = "the host of SUPABASE_URL cannot be reached"
_BROKEN: Final = "the connection broke before the whole answer was there"
BY_EXCEPTION: Final[tuple[tuple[tuple[type[Exception], ...], type[FailureError], str], ...]] = (
    (
        (ssl.SSLCertVerificationError, aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch),
        InternalError,
        "the certificate of SUPABASE_URL is not trusted; check the URL, this machine's certificates and its clock",
    ),
    ((ssl.SSLError, aiohttp.ClientSSLError), UnavailableError, "TLS with the host of SUPABASE_URL failed"),
    ((socket.gaierror, aiohttp.ClientConnectorDNSError), UnavailableError, "the host of SUPABASE_URL has no address"),
    ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError, httpx.ProxyError), UnavailableError, "the HTTP proxy failed"),
    (
        (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, aiohttp.RedirectClientError, httpx.InvalidURL, httpx.UnsupportedProtocol),
        InternalError,
        _URL,
    ),
    ((aiohttp.TooManyRedirects, httpx.TooManyRedirects), InternalError, BY_STATUS[3][1]),
    ((aiohttp.ConnectionTimeoutError,), UnavailableError, "no connection in time to the host of SUPABASE_URL"),
    ((aiohttp.ServerTimeoutError,), DeadlineError, "no answer in time"),
    ((aiohttp.ClientConnectorError,), UnavailableError, _UNREACHABLE),
    ((aiohttp.ClientError,), UnavailableError, _BROKEN),
    # below aiohttp's: httpx-aiohttp takes some of those for others, a broken connection for a ConnectTimeout, but names them as the cause
    ((httpx.PoolTimeout,), SaturatedError, "every connection stayed in use"),
    ((httpx.ConnectTimeout,), UnavailableError, "no connection in time to the host of SUPABASE_URL"),
    ((httpx.ConnectError, ConnectionRefusedError), UnavailableError, _UNREACHABLE),
    ((httpx.TimeoutException, TimeoutError), DeadlineError, "no answer in time"),
    (
        (httpx.NetworkError, httpx.RemoteProtocolError, httpx.DecodingError, asyncio.IncompleteReadError, OSError),
        UnavailableError,
        _BROKEN,
    ),
)
"""What an exception means, or one that caused it: the first row with its class, or a base of it."""
_NOT_OPEN: Final = re.compile(r"\b(?:client|session) .*\bclosed\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no success.

    Only of PostgREST's own answers are code, message, hint and details read; a gateway's have "" and None. `retry_after` is in seconds.
    """

    status: int
    code: str
    message: str
    hint: str | None
    details: str | None
    retry_after: float | None
    is_postgrest: bool

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], body: bytes) -> Self:
        """Read an answer, whoever gave it and whatever it holds. Raises nothing."""
        lowered = {name.lower(): value for name, value in headers.items()}
        named = _PROXY_STATUS.search(lowered.get("proxy-status", ""))
        said = _object(body)
        # Supabase Lite sends no Proxy-Status; the answer to a HEAD has nothing else
        is_postgrest = named is not None or (said.keys() >= _KEYS and isinstance(said["code"], str))
        said = said if is_postgrest else {}
        return cls(
            status=status,
            code=_text(said.get("code")) or (named and named[1]) or "",
            message=_text(said.get("message")) or "",
            hint=_text(said.get("hint")),
            details=_text(said.get("details")),
            retry_after=_seconds(lowered.get("retry-after", "")),
            is_postgrest=is_postgrest,
        )


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body) if len(body) <= _MAX_BODY else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _seconds(retry_after: str) -> float | None:
    try:
        if retry_after.isascii() and retry_after.isdecimal():
            seconds = float(retry_after)
        else:
            seconds = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, LookupError, OverflowError):
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def refusal(answer: Answer, *, token_expired: bool) -> StoreError:
    """Return our error for *answer*; *token_expired*: whether by our own clock the caller's token had expired by then."""
    if answer.code == "PGRST303" and token_expired:
        return UnauthenticatedError("the token has expired")
    if not answer.is_postgrest:
        row = BY_STATUS.get(answer.status) or BY_STATUS.get(answer.status // 100) or BY_STATUS[0]
        return _error(row, f"HTTP {answer.status}", answer)
    if _SQLSTATE.fullmatch(answer.code):
        return _of_database(answer)
    row = BY_CODE.get(answer.code) or BY_CODE.get(answer.code[:6]) or BY_CODE["PGRST"]
    code = f"code {answer.code}, " if _SAFE_CODE.fullmatch(answer.code) else ""
    return _error(row, f"{code}HTTP {answer.status}", answer)


def _of_database(answer: Answer) -> StoreError:
    match answer.status, answer.code:
        case HTTPStatus.UNAUTHORIZED, "42501":  # what PostgREST says to the role anon
            return InternalError("our request ran as anon (SQLSTATE 42501); see what takes its token away before PostgREST")
        case HTTPStatus.UNAUTHORIZED, "22023":
            return classify.unknown_role()
    error = classify.refusal(answer.code, answer.message, answer.hint, answer.details)
    if isinstance(error, FailureError) and error.retry_after is not None:
        error.retry_after = _retry_after(answer)
    return error


def _retry_after(answer: Answer) -> float:
    # PostgREST says 0, whatever the fault
    return max(classify.RETRY_AFTER, answer.retry_after or 0.0)


def _error(row: _Row, by: str, answer: Answer) -> StoreError:
    kind, text = row
    if issubclass(kind, FailureError) and kind is not InternalError:
        return kind(f"{text} ({by})", retry_after=_retry_after(answer))
    return kind(f"{text} ({by})")


def denial_kind(answer: Answer, error: StoreError) -> str | None:
    """Return the label `kind` of lift_store_rls_denials_total where the refusal was a denial, else None.

    A denial of the role anon counts as `grant`: anon has none on our functions.
    """
    return classify.denial_kind(answer.code, error)


def failure(error: Exception) -> StoreError:
    """Return our error for what httpx, aiohttp or the network below them raised."""
    chain = tuple(_chain(error))
    for classes, kind, text in BY_EXCEPTION:
        if found := next((one for one in chain if isinstance(one, classes)), None):
            retry_after = None if kind is InternalError else classify.RETRY_AFTER
            return kind(text + _reason(found), retry_after=retry_after)
    if isinstance(error, RuntimeError) and _NOT_OPEN.search(str(error)):
        return UnavailableError("the store is not open")
    return InternalError(f"the request to Supabase failed with {type(error).__name__}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(8):  # deeper than any library nests, and an end where causes go in a circle
        if cause is None:
            return
        yield cause
        cause = cause.__cause__


def _reason(error: BaseException) -> str:
    number = getattr(error, "errno", None) or 0
    # those of TLS and of name resolution count in numbers of their own
    is_system = not isinstance(error, ssl.SSLError | socket.gaierror | aiohttp.ClientConnectorDNSError)
    return f" ({errno.errorcode[number]})" if is_system and number in errno.errorcode else ""
