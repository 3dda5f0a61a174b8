"""The public keys of a project: fetched without blocking, kept fresh, and kept on disk for a start without network."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
import time
from typing import TYPE_CHECKING, Any, Final, Self

import httpx
import jwt
import structlog

from lift_store.api.auth import ASYMMETRIC, KeysUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REFRESH_EVERY: Final = 600.0
"""Seconds; Supabase's own caches hold keys as long, and its rotation waits for that."""
RETRY_EVERY: Final = 5.0
"""Seconds between attempts while the keys cannot be had."""
UNKNOWN_KEY_EVERY: Final = 30.0
"""Seconds between refreshes that an unknown key id may cause: anybody can make ids up, so this bounds the requests."""
FETCH_TIMEOUT: Final = 5.0
MAX_BYTES: Final = 1_048_576

_log = structlog.get_logger("lift_store.api.jwks")


class KeySet:
    """The keys at *url*, refreshed in the background while open; those of the last success serve through an outage.

    *cache*: file that keeps them between starts, None: memory only. *now*: a monotonic clock in seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        cache: Path | None = None,
        now: Callable[[], float] = time.monotonic,
        every: float = REFRESH_EVERY,
    ) -> None:
        self._url = url
        self._cache = cache
        self._now = now
        self._every = every
        self._keys: dict[str | None, jwt.PyJWK] | None = None
        self._fresh = False
        self._forced: float | None = None
        self._flight: asyncio.Task[bool] | None = None
        self._runner: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._load)
        self._client = httpx.AsyncClient(timeout=FETCH_TIMEOUT)
        self._fetching()  # now, so that the first caller joins it instead of spending the refresh for unknown ids
        self._runner = asyncio.create_task(self._keep_fresh(), name="jwks")
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (self._runner, self._flight):
            if task:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await self._client.aclose()

    @property
    def has_keys(self) -> bool:
        """Whether tokens can be checked at all."""
        return self._keys is not None

    @property
    def is_fresh(self) -> bool:
        """Whether the last refresh succeeded."""
        return self._fresh

    async def find(self, key_id: str | None) -> jwt.PyJWK | None:
        """Return the key named *key_id*, after a refresh if unknown; KeysUnavailableError while there are none."""
        if self._keys is None and self._flight:
            await self.refresh()
        key = self._known(key_id)
        if key is None and self._may_force():
            self._forced = self._now()
            await self.refresh()
            key = self._known(key_id)
        if self._keys is None:
            raise KeysUnavailableError(RETRY_EVERY)
        return key

    async def refresh(self) -> bool:
        """Fetch the keys, joining a fetch that is under way; return whether it succeeded."""
        # shielded: a caller who gives up must not cancel what others wait for
        return await asyncio.shield(self._fetching())

    def _fetching(self) -> asyncio.Task[bool]:
        if self._flight is None:
            self._flight = asyncio.create_task(self._fetch(), name="jwks-fetch")
            self._flight.add_done_callback(self._landed)
        return self._flight

    def _landed(self, _: asyncio.Task[bool]) -> None:
        self._flight = None

    def _may_force(self) -> bool:
        return self._forced is None or self._now() - self._forced >= UNKNOWN_KEY_EVERY

    def _known(self, key_id: str | None) -> jwt.PyJWK | None:
        keys = self._keys or {}
        if key_id is None:  # RFC 7515 section 4.1.4: `kid` is a hint; one key needs none
            return next(iter(keys.values())) if len(keys) == 1 else None
        return keys.get(key_id)

    async def _keep_fresh(self) -> None:
        while True:  # noqa: ASYNC110 - waits for time to pass, not for an event
            await asyncio.sleep(self._every if await self.refresh() else min(RETRY_EVERY, self._every))

    async def _fetch(self) -> bool:
        try:
            document = await self._download()
            self._keys = parse(document)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            if self._fresh or self._keys is None:
                _log.warning("jwks_unavailable", error=type(error).__name__, has_keys=self.has_keys)
            self._fresh = False
            return False
        self._fresh = True
        await asyncio.to_thread(self._save, document)
        return True

    async def _download(self) -> Any:
        content = bytearray()
        async with self._client.stream("GET", self._url, headers={"Accept": "application/json"}) as response:
            response.raise_for_status()  # a redirect fails too: keys come from where the configuration says
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > MAX_BYTES:
                    raise ValueError(f"the key set is larger than {MAX_BYTES} bytes")
        return json.loads(content)

    def _load(self) -> None:
        if self._cache is None:
            return
        try:
            stored = json.loads(self._cache.read_bytes())
            if stored["url"] == self._url:  # another project's keys prove nothing here
                self._keys = parse(stored["document"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("jwks_cache_unreadable", error=type(error).__name__)

    def _save(self, document: Any) -> None:
        if self._cache is None:
            return
        try:
            _replace(self._cache, json.dumps({"url": self._url, "document": document}).encode())
        except OSError as error:
            _log.warning("jwks_cache_unwritable", error=type(error).__name__)


def parse(document: Any) -> dict[str | None, jwt.PyJWK]:
    """Return the usable keys of a JSON Web Key Set by their ids; ValueError if it is none. An empty set is a set."""
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list):
        raise ValueError("no JSON Web Key Set")  # noqa: TRY004 - callers treat it as the bad value that it is
    usable = filter(None, (_usable(key) for key in keys))
    return {key.key_id: key for key in usable}


def _usable(key: Any) -> jwt.PyJWK | None:
    """Return the key, or None for what no token may be signed with: a symmetric key, one for encryption, an unknown."""
    try:
        made = jwt.PyJWK(key)
    except (jwt.PyJWTError, AttributeError, TypeError, ValueError):
        return None
    return made if made.algorithm_name in ASYMMETRIC and made.public_key_use in (None, "sig") else None


def _replace(path: Path, content: bytes) -> None:
    """Write whole or not at all, readable by this user only; whoever can write it decides who may sign in."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)  # noqa: PTH105 - mkstemp gives a name, not a Path
    except BaseException:
        os.unlink(name)  # noqa: PTH108 - as above
        raise
