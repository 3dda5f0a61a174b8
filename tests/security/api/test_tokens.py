"""No token but a valid one of a signed-in user gets in, on any route, and nothing is read, changed or deleted."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from prometheus_client import CollectorRegistry

from lift_store.api.app import create_app
from lift_store.api.auth import ASYMMETRIC, RejectedError, Verifier
from lift_store.api.jwks import KeySet
from lift_store.factory import build_store
from lift_store.settings import Settings
from tests.unit.api.keyserver import KeyServer
from tests.unit.api.tokens import AUDIENCE, ISSUER, SECRET, claims, ec_key, hs256, public_jwk, rsa_key, token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EC, RSA = ec_key(), rsa_key()
PEM = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def unsigned(**changes: Any) -> str:
    return jwt.encode(claims(**changes), "", algorithm="none")


def tampered() -> str:
    head, _, signature = token().split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims()).encode()).rstrip(b"=").decode()
    return f"{head}.{body}.{signature}"


def confused() -> str:
    """Return a token whose HMAC key is the project's public RSA key, which PyJWT itself refuses to sign with."""
    signer = jwt.PyJWS()
    algorithm = signer.get_algorithm_by_name("HS256")
    parts = [{"alg": "HS256", "typ": "JWT", "kid": "rsa"}, claims()]
    message = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    return (message + b"." + base64.urlsafe_b64encode(algorithm.sign(message, PEM)).rstrip(b"=")).decode()


NOW = int(time.time())
DAY = 86_400  # the tests may run for longer than minutes after this was read
BAD: list[tuple[str, str, str]] = [
    ("junk", "junk", "malformed"),
    ("nested without end", f"{base64.urlsafe_b64encode(b'[' * 30_000).decode()}.b.c", "malformed"),
    ("three parts of junk", "a.b.c", "malformed"),
    ("unsigned", unsigned(), "signature"),
    ("forged", token(key="another-secret-that-is-not-the-projects-own"), "signature"),
    ("tampered", tampered(), "signature"),
    ("other algorithm", token(algorithm="HS512", key=SECRET * 2), "signature"),
    ("public key as secret", confused(), "signature"),
    ("expired", token(exp=NOW - 31), "expired"),
    ("no expiry", token(exp=None), "claims"),
    ("not yet valid", token(nbf=NOW + DAY), "claims"),
    ("issued in the future", token(iat=NOW + DAY), "claims"),
    ("wrong audience", token(aud="other"), "claims"),
    ("no audience", token(aud=None), "claims"),
    ("wrong issuer", token(iss="https://other.supabase.co/auth/v1"), "claims"),
    ("no issuer", token(iss=None), "claims"),
    ("no subject", token(sub=None), "claims"),
    ("subject no UUID", token(sub="alice"), "claims"),
    ("no role", token(role=None), "claims"),
    ("anon", token(role="anon"), "role"),
    ("service_role", token(role="service_role"), "role"),
    ("role of another type", token(role=["authenticated"]), "role"),
]
IDS = [name for name, _, _ in BAD]
SESSION = f"/api/sessions/{uuid4()}"
ROUTES = [
    ("POST", "/api/sessions"),
    ("GET", "/api/sessions"),
    ("GET", SESSION),
    ("PATCH", SESSION),
    ("DELETE", SESSION),
    ("POST", f"{SESSION}/revisions"),
    ("POST", f"{SESSION}/drafts"),
    ("POST", f"{SESSION}/holes/a/resolve"),
    ("POST", f"{SESSION}/finalize"),
    ("POST", f"{SESSION}/abandon"),
]


@pytest.fixture
async def client(registry: CollectorRegistry) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of a service that takes HS256."""
    settings = Settings.load(backend_choice="memory", jwt_secret=SECRET)
    async with build_store(settings, registry) as store:
        app = create_app(store, verifier=hs256(), settings=settings, registry=registry)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as made:
            yield made


@pytest.mark.parametrize(("bad", "reason"), [(bad, reason) for _, bad, reason in BAD], ids=IDS)
async def test_a_bad_token_is_refused_and_counted(client: httpx.AsyncClient, registry: CollectorRegistry, bad: str, reason: str) -> None:
    """401 with a challenge, one reason counted, and not a word of the token in the answer."""
    answer = await client.get("/api/sessions", headers={"Authorization": f"Bearer {bad}"})
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:lift-store:problem:unauthenticated")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert registry.get_sample_value("lift_store_auth_rejections_total", {"reason": reason}) == 1
    assert bad not in answer.text


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic YTpi", f"Bearer {unsigned()}"])
async def test_no_route_is_open(client: httpx.AsyncClient, method: str, path: str, header: str | None) -> None:
    """Every session route refuses, before it looks at the body."""
    headers = {} if header is None else {"Authorization": header}
    answer = await client.request(method, path, content=b"{broken", headers=headers | {"Content-Type": "text/plain"})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_thirty_seconds_of_skew_are_allowed() -> None:
    """A clock that is a little off refuses nobody, as in PostgREST."""
    assert (await hs256().verify(token(exp=int(time.time()) - 20))).role == "authenticated"
    assert (await hs256().verify(token(iat=int(time.time()) + 20))).role == "authenticated"


async def test_the_principal_is_the_tokens() -> None:
    """Subject, claims and token come from what was verified, and none of it is shown by repr."""
    user = uuid4()
    sent = token(user, app_metadata={"plan": "secret"})
    principal = await hs256().verify(sent)
    assert (user, sent) == (principal.user_id, principal.token)
    assert (principal.claims or {})["app_metadata"] == {"plan": "secret"}
    assert "secret" not in repr(principal)
    assert sent not in repr(principal)


def asymmetric(keys: KeySet) -> Verifier:
    return Verifier(keys, algorithms=ASYMMETRIC, audience=AUDIENCE, issuer=ISSUER)


async def test_keys_of_the_set_verify() -> None:
    """ES256 and RS256 tokens of the project's keys get in."""
    with KeyServer(public_jwk(EC, "ec"), public_jwk(RSA, "rsa")) as server:
        async with KeySet(server.url) as keys:
            for key, kid, algorithm in ((EC, "ec", "ES256"), (RSA, "rsa", "RS256")):
                sent = token(key=key, kid=kid, algorithm=algorithm)
                assert (await asymmetric(keys).verify(sent)).token == sent


@pytest.mark.parametrize(
    "bad",
    [
        confused(),
        token(kid="rsa"),
        unsigned(),
        token(key=rsa_key(), kid="rsa", algorithm="RS256"),
        token(key=EC, kid="rsa", algorithm="ES256"),
        token(key=RSA, kid="ec", algorithm="RS256"),
        token(key=RSA, kid="other", algorithm="RS256"),
        token(key=RSA, kid="rsa", algorithm="RS512"),
        token(key=RSA, algorithm="RS256"),
    ],
    ids=[
        "public key as HMAC secret",
        "shared secret",
        "unsigned",
        "forged",
        "other key's algorithm",
        "other key",
        "unknown key",
        "algorithm not pinned",
        "no key named",
    ],
)
async def test_a_key_set_takes_no_other_signature(bad: str) -> None:
    """The header chooses neither the algorithm nor the kind of key."""
    with KeyServer(public_jwk(EC, "ec"), public_jwk(RSA, "rsa")) as server:
        async with KeySet(server.url) as keys:
            with pytest.raises(RejectedError) as caught:
                await asymmetric(keys).verify(bad)
            assert caught.value.reason == "signature"


async def test_a_secret_takes_no_key_sets_token() -> None:
    """A project configured for HS256 accepts nothing signed with a key pair."""
    with pytest.raises(RejectedError):
        await hs256().verify(token(key=RSA, kid="rsa", algorithm="RS256"))


async def test_junk_causes_no_request_for_keys() -> None:
    """A token whose algorithm is wrong is refused before its key is looked for."""
    with KeyServer(public_jwk(EC, "ec")) as server:
        async with KeySet(server.url) as keys:
            await keys.find("ec")
            for _ in range(5):
                with pytest.raises(RejectedError):
                    await asymmetric(keys).verify(token(kid="made up"))
            assert server.requests == 1


async def test_missing_keys_are_the_services_fault(registry: CollectorRegistry) -> None:
    """While no key could be had the answer is 503 with Retry-After, counted as unavailable: the token may be good."""
    settings = Settings.load(backend_choice="memory", jwks_url="http://127.0.0.1:9/")
    with KeyServer() as server:
        server.status = 500
        async with KeySet(server.url) as keys, build_store(settings, registry) as store:
            app = create_app(store, verifier=asymmetric(keys), settings=settings, registry=registry, keys=keys)
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
                good = token(key=EC, kid="ec", algorithm="ES256")
                answer = await client.get("/api/sessions", headers={"Authorization": f"Bearer {good}"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert registry.get_sample_value("lift_store_auth_rejections_total", {"reason": "unavailable"}) == 1
