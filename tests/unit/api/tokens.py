"""Tokens as a Supabase project signs them, right and wrong, with real keys."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import SecretStr

from lift_store.api.auth import SYMMETRIC, SharedSecret, Verifier

SECRET = "a-secret-of-this-test-suite-that-nobody-else-uses"  # noqa: S105 - of a test
ISSUER = "https://project.supabase.co/auth/v1"
AUDIENCE = "authenticated"


def claims(user: UUID | None = None, **changes: Any) -> dict[str, Any]:
    """Return the claims of a signed-in user; a change to None leaves the claim out."""
    now = int(time.time())
    usual = {
        "sub": str(user or uuid4()),
        "role": "authenticated",
        "aud": AUDIENCE,
        "iss": ISSUER,
        "iat": now,
        "exp": now + 600,
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


def token(user: UUID | None = None, *, key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **changes: Any) -> str:
    """Return a signed token."""
    return jwt.encode(claims(user, **changes), key, algorithm=algorithm, headers={"kid": kid} if kid else None)


def hs256() -> Verifier:
    """Return the verifier of a project that signs with the shared secret."""
    return Verifier(SharedSecret(SecretStr(SECRET)), algorithms=SYMMETRIC, audience=AUDIENCE, issuer=ISSUER)


def ec_key() -> ec.EllipticCurvePrivateKey:
    """Return a new ES256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def rsa_key() -> rsa.RSAPrivateKey:
    """Return a new RS256 key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_jwk(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, kid: str) -> dict[str, Any]:
    """Return the public half of *key* as it stands in a key set."""
    if isinstance(key, rsa.RSAPrivateKey):
        made, algorithm = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()), "RS256"
    else:
        made, algorithm = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()), "ES256"
    return {**json.loads(made), "kid": kid, "use": "sig", "alg": algorithm}
