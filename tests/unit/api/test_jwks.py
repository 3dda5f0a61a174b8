"""The key set, against a real HTTP server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lift_store.api.auth import KeysUnavailableError
from lift_store.api.jwks import MAX_BYTES, KeySet, parse
from tests.unit.api.keyserver import KeyServer
from tests.unit.api.tokens import ec_key, public_jwk, rsa_key

OLD, NEW = public_jwk(ec_key(), "old"), public_jwk(rsa_key(), "new")


class Clock:
    """A clock that stands until told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


async def test_keys_are_found_by_id() -> None:
    """A key is had by the id that a token names."""
    with KeyServer(OLD, NEW) as server:
        async with KeySet(server.url) as keys:
            found = await keys.find("new")
            assert found is not None
            assert found.algorithm_name == "RS256"
            assert keys.is_fresh


async def test_many_callers_cause_one_request() -> None:
    """Callers who arrive before the first keys wait for one fetch together."""
    with KeyServer(OLD) as server:
        server.delay = 0.2
        async with KeySet(server.url) as keys:
            found = await asyncio.gather(*(keys.find("old") for _ in range(50)))
            assert None not in found
            assert server.requests == 1


async def test_fetching_does_not_block_the_loop() -> None:
    """While a slow server makes a caller wait, the event loop runs."""
    with KeyServer(OLD) as server:
        server.delay = 0.3
        async with KeySet(server.url) as keys:
            waiting = asyncio.create_task(keys.find("old"))
            turns = 0
            while not waiting.done():
                await asyncio.sleep(0.01)
                turns += 1
            assert turns >= 10


async def test_an_unknown_id_refreshes_once_in_thirty_seconds() -> None:
    """Made-up ids cannot be used to flood the project; a rotated key is still found."""
    clock = Clock()
    with KeyServer(OLD) as server:
        async with KeySet(server.url, now=clock) as keys:
            await keys.find("old")
            for _ in range(20):
                assert await keys.find("made up") is None
            assert server.requests == 2
            server.serve(OLD, NEW)
            assert await keys.find("new") is None
            clock.now += 30
            assert await keys.find("new") is not None
            assert server.requests == 3


async def test_keys_are_refreshed_in_the_background() -> None:
    """A revoked key is gone after the next refresh, without anybody asking for an unknown one."""
    with KeyServer(OLD) as server:
        async with KeySet(server.url, every=0.05) as keys:
            assert await keys.find("old") is not None
            server.serve(NEW)
            while await keys.find("old") is not None:  # noqa: ASYNC110 - polls what a caller would see
                await asyncio.sleep(0.02)
            assert await keys.find("new") is not None


async def test_an_outage_leaves_the_last_keys() -> None:
    """Keys that cannot be refreshed still serve, and say that they are stale."""
    with KeyServer(OLD) as server:
        async with KeySet(server.url) as keys:
            await keys.find("old")
            server.status = 500
            assert not await keys.refresh()
            assert await keys.find("old") is not None
            assert keys.has_keys
            assert not keys.is_fresh


@pytest.mark.parametrize("body", [b"", b"[]", b'{"keys": 1}', b"x" * (MAX_BYTES + 1)])
async def test_an_answer_that_is_no_key_set_is_an_outage(body: bytes) -> None:
    """Neither junk nor a body without end replaces good keys."""
    with KeyServer(OLD) as server:
        async with KeySet(server.url) as keys:
            await keys.find("old")
            server.body = body
            assert not await keys.refresh()
            assert await keys.find("old") is not None


async def test_without_any_keys_they_are_unavailable() -> None:
    """With no key ever had nothing can be said of a token, which is not the caller's fault."""
    with KeyServer() as server:
        server.status = 503
        async with KeySet(server.url) as keys:
            with pytest.raises(KeysUnavailableError):
                await keys.find("old")
            asked = server.requests
            for _ in range(20):
                with pytest.raises(KeysUnavailableError):
                    await keys.find("old")
            assert server.requests <= asked + 1


async def test_keys_on_disk_serve_a_start_without_network(tmp_path: Path) -> None:
    """A restart during an outage uses the keys of the last success; only this user may read or write them."""
    cache = tmp_path / "data" / "jwks.json"
    with KeyServer(OLD) as server:
        async with KeySet(server.url, cache=cache) as keys:
            await keys.find("old")
            await keys.refresh()
        assert cache.stat().st_mode & 0o777 == 0o600
        assert [cache] == list(cache.parent.iterdir())
        server.status = 500
        async with KeySet(server.url, cache=cache) as restarted:
            assert await restarted.find("old") is not None
        async with KeySet(server.url + "?other", cache=cache) as other:
            with pytest.raises(KeysUnavailableError):
                await other.find("old")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"url": 1, "document": 2}'])
async def test_a_damaged_cache_is_ignored(tmp_path: Path, content: bytes) -> None:
    """A file that holds no keys does not keep the service from starting."""
    cache = tmp_path / "jwks.json"
    cache.write_bytes(content)
    with KeyServer(OLD) as server:
        async with KeySet(server.url, cache=cache) as keys:
            assert await keys.find("old") is not None


async def test_an_unwritable_cache_is_no_failure(tmp_path: Path) -> None:
    """Where the disk does not take the keys they are kept in memory."""
    (tmp_path / "file").write_text("not a folder")
    with KeyServer(OLD) as server:
        async with KeySet(server.url, cache=tmp_path / "file" / "jwks.json") as keys:
            assert await keys.refresh()


def test_only_signing_keys_of_pinned_algorithms_are_used() -> None:
    """A symmetric key in a public set, a key for encryption and unknown kinds are left out."""
    symmetric = {"kty": "oct", "k": "c2VjcmV0", "kid": "hmac", "alg": "HS256"}
    found = parse({"keys": [OLD, symmetric, {**NEW, "use": "enc"}, {"kty": "OKP", "crv": "X"}, "junk", {}]})
    assert list(found) == ["old"]


async def test_a_token_without_id_fits_a_single_key() -> None:
    """RFC 7515 makes the id a hint: with one key there is no choice, with two none is guessed."""
    with KeyServer(OLD) as server:
        async with KeySet(server.url) as keys:
            assert await keys.find(None) is not None
            server.serve(OLD, NEW)
            await keys.refresh()
            assert await keys.find(None) is None
