"""A token that was proven is not checked anew each time; it still counts for no longer than itself, and its key, do."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import uuid4

import pytest

from lift_store.api.auth import ASYMMETRIC, PROVEN, RejectedError, Verifier
from lift_store.api.jwks import KeySet
from tests.unit.api.keyserver import KeyServer
from tests.unit.api.tokens import AUDIENCE, ISSUER, ec_key, hs256, public_jwk, token

OURS, OTHER = ec_key(), ec_key()


async def test_a_proven_token_is_remembered() -> None:
    """The same token gives the same caller, and another token another one."""
    verifier, sent = hs256(), token()
    assert await verifier.verify(sent) is await verifier.verify(sent)
    assert await verifier.verify(token()) is not await verifier.verify(sent)


async def test_a_remembered_token_expires() -> None:
    """At the second at which it would be refused if it were new."""
    verifier, sent = hs256(), token(exp=int(time.time()) - 28)
    await verifier.verify(sent)
    await asyncio.sleep(3)
    with pytest.raises(RejectedError, match="expired") as caught:
        await verifier.verify(sent)
    assert caught.value.reason == "expired"
    with pytest.raises(RejectedError, match="expired"):
        await hs256().verify(sent)


@pytest.mark.parametrize("left", [(), (public_jwk(OTHER, "of another"),), (public_jwk(OTHER, "ours"),)], ids=["none", "other", "same id"])
async def test_a_remembered_token_ends_with_its_key(left: tuple[dict[str, Any], ...]) -> None:
    """Where the key was withdrawn from the project, or another stands under its id."""
    with KeyServer(public_jwk(OURS, "ours")) as server:
        async with KeySet(server.url) as keys:
            verifier = Verifier(keys, algorithms=ASYMMETRIC, audience=AUDIENCE, issuer=ISSUER)
            sent = token(key=OURS, kid="ours", algorithm="ES256")
            await verifier.verify(sent)
            server.serve(*left)
            assert await keys.refresh()
            with pytest.raises(RejectedError) as caught:
                await verifier.verify(sent)
            assert caught.value.reason == "signature"


async def test_a_remembered_token_outlives_a_refresh_of_its_key() -> None:
    """The usual refresh brings the same keys."""
    with KeyServer(public_jwk(OURS, "ours")) as server:
        async with KeySet(server.url) as keys:
            verifier = Verifier(keys, algorithms=ASYMMETRIC, audience=AUDIENCE, issuer=ISSUER)
            sent = token(key=OURS, kid="ours", algorithm="ES256")
            before = await verifier.verify(sent)
            assert await keys.refresh()
            assert await verifier.verify(sent) == before


async def test_only_the_newest_tokens_are_remembered() -> None:
    """So that making tokens up, or having many users, fills no memory: the first is forgotten, and is proven again when it comes."""
    verifier, first = hs256(), token()
    before = await verifier.verify(first)
    second = token()
    kept = await verifier.verify(second)
    for _ in range(PROVEN - 1):
        await verifier.verify(token(uuid4()))
    assert await verifier.verify(second) is kept
    again = await verifier.verify(first)
    assert again == before
    assert again is not before


async def test_a_refused_token_is_not_remembered() -> None:
    """Refusals cost their caller each time, and push nobody out."""
    verifier, sent = hs256(), token()
    kept = await verifier.verify(sent)
    for number in range(PROVEN + 1):
        with pytest.raises(RejectedError):
            await verifier.verify(f"{sent[: sent.rindex('.')]}.{number}")
    assert await verifier.verify(sent) is kept
