"""From a bearer token to a verified caller, or to one counted reason why not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from uuid import UUID

import jwt

from lift_store.principal import AUTHENTICATED, Principal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import SecretStr

PROVEN: Final = 1000
"""Tokens that are remembered as proven, the newest; checking one anew takes longer than the rest of a small request."""
LEEWAY: Final = 30
"""Seconds of clock skew; PostgREST allows the same, so that both accept and refuse one token alike."""
REQUIRED: Final = ("exp", "sub", "aud", "role")
SYMMETRIC: Final = ("HS256",)
ASYMMETRIC: Final = ("ES256", "RS256")


class RejectedError(Exception):
    """The token proves nobody. *reason* is the label of lift_store_auth_rejections_total; no text quotes the token."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class KeysUnavailableError(Exception):
    """No key could be had to check any token with; says nothing about this one. *retry_after* is in seconds."""

    reason: Final = "unavailable"

    def __init__(self, retry_after: float) -> None:
        super().__init__("The keys that tokens are checked with cannot be had now.")
        self.retry_after = retry_after


class KeySource(Protocol):
    """Where the key of a token comes from."""

    async def find(self, key_id: str | None) -> jwt.PyJWK | str | None:
        """Return the key named *key_id*, or None if there is none; KeysUnavailableError if that cannot be known."""
        ...


class SharedSecret:
    """The one key of a project that signs with HS256; such tokens name no key."""

    def __init__(self, secret: SecretStr) -> None:
        self._secret = secret

    async def find(self, key_id: str | None) -> str:  # noqa: ARG002 - the protocol's argument
        """Return the secret, whatever the token says."""
        return self._secret.get_secret_value()


class _Proof(NamedTuple):
    """Whom a token proved, by which key, and when it expires, in seconds since 1970."""

    key_id: str | None
    key: jwt.PyJWK | str
    expires: int
    principal: Principal


class Verifier:
    """Verifies tokens against *keys*, with *algorithms* from the configuration and never from a token's header alone.

    *issuer* None: `iss` is not checked.
    """

    def __init__(self, keys: KeySource, *, algorithms: Sequence[str], audience: str, issuer: str | None = None) -> None:
        self._keys = keys
        self._algorithms = tuple(algorithms)
        self._audience = audience
        self._issuer = issuer
        self._proven: dict[str, _Proof] = {}

    async def verify(self, token: str) -> Principal:
        """Return the caller that *token* proves; RejectedError, or KeysUnavailableError if it could not be checked.

        A token that was proven is remembered for as long as its key is the project's, and it has not expired.
        """
        proof = self._proven.get(token)
        if proof is None or await self._keys.find(proof.key_id) is not proof.key:
            proof = await self._prove(token)
            self._remember(token, proof)
        elif proof.expires <= time.time() - LEEWAY:
            raise _rejection(jwt.ExpiredSignatureError())
        return proof.principal

    def _remember(self, token: str, proof: _Proof) -> None:
        self._proven[token] = proof
        if len(self._proven) > PROVEN:
            del self._proven[next(iter(self._proven))]

    async def _prove(self, token: str) -> _Proof:
        key_id = self._key_id(token)
        key = await self._keys.find(key_id)
        if key is None:
            raise RejectedError("signature", "The token is signed with a key that is not the project's.")
        claims = self._decode(token, key)
        if claims["role"] != AUTHENTICATED:
            raise RejectedError("role", f"The token's role is not {AUTHENTICATED!r}.")
        return _Proof(key_id, key, int(claims["exp"]), Principal(_subject(claims), claims=claims, token=token))

    def _key_id(self, token: str) -> str | None:
        """Check the algorithm before any key is looked for, so that junk causes no request for keys."""
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.InvalidTokenError, RecursionError):  # a header can nest deeper than the parser goes
            raise RejectedError("malformed", "The token is not a JSON Web Token.") from None
        if header.get("alg") not in self._algorithms:
            raise RejectedError("signature", f"The token is not signed with {' or '.join(self._algorithms)}.")
        return header.get("kid")

    def _decode(self, token: str, key: jwt.PyJWK | str) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=self._algorithms,
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY,
                options={"require": list(REQUIRED)},
            )
        except jwt.PyJWTError as error:
            raise _rejection(error) from None


# the first that fits counts: InvalidSignatureError is a DecodeError
_REJECTIONS: Final[tuple[tuple[type[jwt.PyJWTError], str, str], ...]] = (
    (jwt.ExpiredSignatureError, "expired", "The token has expired."),
    (jwt.InvalidSignatureError, "signature", "The token's signature is not the project's."),
    (jwt.InvalidAlgorithmError, "signature", "The token's algorithm is not its key's."),
    (jwt.InvalidKeyError, "signature", "The token's key cannot be used."),
    (jwt.InvalidAudienceError, "claims", "The token is for another audience."),
    (jwt.InvalidIssuerError, "claims", "The token is from another issuer."),
    (jwt.ImmatureSignatureError, "claims", "The token is not valid yet."),
    (jwt.DecodeError, "malformed", "The token is not a JSON Web Token."),
)


def _rejection(error: jwt.PyJWTError) -> RejectedError:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return RejectedError("claims", f"The token lacks the claim {error.claim!r}.")
    for kind, reason, detail in _REJECTIONS:
        if isinstance(error, kind):
            return RejectedError(reason, detail)
    return RejectedError("claims", "The token's claims are not valid.")


def _subject(claims: dict[str, Any]) -> UUID:
    try:
        return UUID(claims["sub"])
    except ValueError:
        raise RejectedError("claims", "The token's subject is not a UUID.") from None
