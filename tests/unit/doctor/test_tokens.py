"""What tokens are checked with, on real key servers; the secret is judged, and never shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lift_store.api.jwks import MAX_BYTES, KeySet
from lift_store.doctor import Finding, State
from lift_store.doctor.tokens import claims, keys
from lift_store.settings import BackendChoice, Settings
from tests.unit.api.keyserver import KeyServer
from tests.unit.api.tokens import ec_key, public_jwk, rsa_key

SECRET = "k3T9vQz1LmXw8RbN5yHc2UfJ7dGa4SeP"  # noqa: S105 - of a test


def settings(**changes: Any) -> Settings:
    """Return settings without a database."""
    return Settings.load(
        **{"backend_choice": BackendChoice.MEMORY, "supabase_url": None, "jwt_secret": None, "jwks_url": None, "data_dir": None, **changes}
    )


async def judged(**changes: Any) -> Finding:
    """Return what is found of the keys."""
    [finding] = await keys("token.keys", settings(**changes))
    return finding


@pytest.fixture
def server() -> Iterator[KeyServer]:
    """A key server with keys of both kinds, and one of a kind that no token may be signed with."""
    symmetric = {"kty": "oct", "kid": "shared", "k": "c2VjcmV0", "alg": "HS256"}
    with KeyServer(public_jwk(ec_key(), "one"), public_jwk(rsa_key(), "two"), symmetric) as running:
        yield running


@pytest.fixture
async def kept(server: KeyServer, tmp_path: Path) -> Path:
    """A data directory in which the service has kept the keys."""
    async with KeySet(server.url, cache=tmp_path / "jwks.json") as made:
        assert await made.refresh()
    return tmp_path


@pytest.mark.parametrize(
    ("secret", "state"),
    [
        (SECRET, State.OK),
        ("super-secret-jwt-token-with-at-least-32-characters-long", State.FAIL),
        ("your-super-secret-jwt-token-with-at-least-32-characters-long", State.FAIL),
        ("s" * 32, State.WARN),
        ("secret" * 8, State.WARN),
    ],
)
async def test_a_secret_that_others_know_or_guess(secret: str, state: State) -> None:
    """Those of published set-ups are everybody's."""
    finding = await judged(jwt_secret=secret)
    assert finding.state is state
    assert secret not in str(finding)


async def test_keys_that_can_be_had(server: KeyServer) -> None:
    """How many of them are of use, and their algorithms."""
    finding = await judged(jwks_url=server.url)
    assert finding.state is State.OK
    assert "2 usable keys of 3: ES256, RS256" in finding.found


async def test_a_set_without_a_usable_key(server: KeyServer) -> None:
    """As of a project that signs with its secret still."""
    server.serve()
    finding = await judged(jwks_url=server.url)
    assert finding.state is State.FAIL
    assert "SUPABASE_JWT_SECRET" in finding.mend


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (404, b"", "answers 404"),
        (302, b"", "answers 302"),
        (200, b"<html>", "is no JSON Web Key Set"),
        (200, b'{"keys": 1}', "is no JSON Web Key Set"),
        (200, b"[" + b" " * MAX_BYTES, "is no JSON Web Key Set"),
    ],
    ids=["missing", "redirect", "page", "no list", "too large"],
)
async def test_keys_that_cannot_be_had(server: KeyServer, status: int, body: bytes, says: str) -> None:
    """Each cause in its own words."""
    server.status, server.body = status, body
    finding = await judged(jwks_url=server.url)
    assert finding.state is State.FAIL
    assert says in finding.found


async def test_a_key_server_that_is_down() -> None:
    """User and query of the URL may be secret, and are not shown."""
    with KeyServer() as gone:
        address = gone.url.removeprefix("http://")
    finding = await judged(jwks_url=f"http://user:hunter2@{address}?apikey=hunter2")
    assert finding.state is State.FAIL
    assert "cannot be reached: no token can be checked" in finding.found
    assert "hunter2" not in str(finding)


async def test_a_slow_key_server(server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for."""
    monkeypatch.setattr("lift_store.doctor.tokens.FETCH_TIMEOUT", 0.05)
    server.delay = 0.5
    assert "does not answer within" in (await judged(jwks_url=server.url)).found


async def test_a_copy_serves_through_an_outage(server: KeyServer, kept: Path) -> None:
    """So that is no failure yet; its age is told."""
    server.status = 503
    finding = await judged(jwks_url=server.url, data_dir=kept)
    assert finding.state is State.WARN
    assert "answers 503; the service goes on with its copy, which is 0 minutes old" in finding.found


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"url": "https://other", "document": {"keys": []}})])
async def test_a_copy_that_is_none_of_these_keys_is_no_help(server: KeyServer, kept: Path, content: str) -> None:
    """Broken, or of another project."""
    (kept / "jwks.json").write_text(content)
    server.status = 503
    assert (await judged(jwks_url=server.url, data_dir=kept)).state is State.FAIL


async def test_keys_without_tls_from_elsewhere(server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is in between could put keys of his own into them; on this machine, nobody is."""
    monkeypatch.setattr("lift_store.doctor.tokens.is_local", lambda _: False)
    assert (await judged(jwks_url=server.url)).state is State.WARN


async def test_claims_that_tokens_must_have() -> None:
    """The audience always, the issuer where it is known."""
    [finding] = await claims("token.claims", settings(jwt_secret=SECRET))
    assert finding.state is State.WARN
    assert "LIFT_STORE_JWT_ISSUER" in finding.mend
    [finding] = await claims("token.claims", settings(supabase_url="https://project.supabase.co"))
    assert finding.state is State.OK
    assert "aud must be 'authenticated', iss must be 'https://project.supabase.co/auth/v1'" in finding.found
