"""What proves callers: the secret or the key set that tokens are checked with, and the claims that they must have."""

from __future__ import annotations

import json
import time
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from lift_store.api.auth import ASYMMETRIC
from lift_store.api.jwks import FETCH_TIMEOUT, MAX_BYTES, parse
from lift_store.doctor.connection import is_local
from lift_store.doctor.finding import Finding, fail, ok, warn
from lift_store.settings import MIN_SECRET_BYTES, Settings

_PUBLISHED: Final = frozenset(
    {
        "super-secret-jwt-token-with-at-least-32-characters-long",  # of the Supabase CLI's local stack
        "your-super-secret-jwt-token-with-at-least-32-characters-long",  # of self-hosted Supabase's example
    }
)
_FEW: Final = 10
"""Different characters that any random secret of that length has."""


async def keys(name: str, settings: Settings) -> list[Finding]:
    """Check that tokens can be checked, and that nobody else can sign them."""
    if settings.key_set_url:
        return await _key_set(name, settings.key_set_url, settings)
    return [_secret(name, settings.jwt_secret.get_secret_value() if settings.jwt_secret else "")]


async def claims(name: str, settings: Settings) -> list[Finding]:
    """Check that tokens must name whom they are from and whom they are for."""
    found = f"aud must be {settings.jwt_audience!r}, iss {f'must be {settings.issuer!r}' if settings.issuer else 'is not checked'}"
    if settings.issuer:
        return [ok(name, found)]
    return [warn(name, found, "set LIFT_STORE_JWT_ISSUER to the `iss` of your tokens, such as https://project.supabase.co/auth/v1")]


def _secret(name: str, secret: str) -> Finding:
    mend = "make a new one (openssl rand -base64 48), for what signs the tokens and for SUPABASE_JWT_SECRET"
    if secret in _PUBLISHED:
        return fail(name, "SUPABASE_JWT_SECRET is the published one of a development set-up: anybody can sign in as anybody", mend)
    if len(set(secret)) < _FEW:
        return warn(name, "SUPABASE_JWT_SECRET has few different characters, and may be guessed", mend)
    return ok(name, f"HS256, with a secret of at least {MIN_SECRET_BYTES} bytes")


async def _key_set(name: str, url: str, settings: Settings) -> list[Finding]:
    place = _shown(url)
    try:
        document = await _fetch(url)
        usable = list(parse(document).values())
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return [_unavailable(name, f"{place} {_cause(error)}", _copy(url, settings))]
    found = f"{place} has {len(usable)} usable keys of {len(document['keys'])}"
    if not usable:
        mend = (
            f"let the project sign with {' or '.join(ASYMMETRIC)}; a project that signs with its secret takes SUPABASE_JWT_SECRET instead"
        )
        return [fail(name, found, mend)]
    if urlsplit(url).scheme == "http" and not is_local(urlsplit(url).hostname or ""):
        return [warn(name, f"{found}, not over TLS: whoever is in between can sign in as anybody", "use its https:// URL")]
    return [ok(name, f"{found}: {', '.join(sorted({str(key.algorithm_name) for key in usable}))}")]


async def _fetch(url: str) -> Any:
    content = bytearray()
    async with httpx.AsyncClient(timeout=FETCH_TIMEOUT) as client, client.stream("GET", url) as response:
        response.raise_for_status()  # a redirect fails too, as it does for the service
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > MAX_BYTES:
                raise ValueError
    return json.loads(content)


def _cause(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"answers {error.response.status_code}"
    if isinstance(error, httpx.TimeoutException):
        return f"does not answer within {FETCH_TIMEOUT:g} s"
    return "cannot be reached" if isinstance(error, httpx.HTTPError) else "is no JSON Web Key Set"


def _copy(url: str, settings: Settings) -> float | None:
    """Return the age in seconds of the copy that the service keeps on disk, None if there is none of this URL."""
    if settings.data_dir is None:
        return None
    file = settings.data_dir / "jwks.json"
    try:
        stored = json.loads(file.read_bytes())
        return time.time() - file.stat().st_mtime if stored["url"] == url and parse(stored["document"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _unavailable(name: str, found: str, copy: float | None) -> Finding:
    mend = "check SUPABASE_URL or LIFT_STORE_JWKS_URL, and this machine's way there"
    if copy is None:
        return fail(name, f"{found}: no token can be checked", mend)
    return warn(name, f"{found}; the service goes on with its copy, which is {copy / 60:.0f} minutes old", mend)


def _shown(url: str) -> str:
    parts = urlsplit(url)  # without user and query, where somebody may have put a secret
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"
