"""Simulated users at work: each takes one session after another from a prompt to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from time import perf_counter
from typing import Any, Final, NoReturn
from uuid import UUID, uuid4

import httpx

from lift_store.cli.loadgen.prompts import Prompt, draft, prompts
from lift_store.cli.loadgen.report import LoadReport, Tally, summarise
from lift_store.protocol import Operation

_SESSIONS: Final = "/api/sessions"
_THINK: Final = 0.25
"""Mean seconds that a user thinks between two requests."""
_TIMEOUT: Final = 30.0
_ENDS: Final = {"finalized": 75, "abandoned": 15, "deleted": 10}
"""How sessions end, in percent."""


class _FailedError(Exception):
    """An operation failed and was noted; the user gives this session up."""


class _User:
    """One user: a token, choices of their own, and requests that note how they went."""

    def __init__(self, client: httpx.AsyncClient, token: str, rng: Random, tally: Tally) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {token}"}
        self.rng = rng
        self.tally = tally

    async def send(self, operation: Operation, method: str, path: str, *, version: str | None = None, **rest: Any) -> httpx.Response:
        """Send one request as *operation*; a write carries an Idempotency-Key, *version* goes into If-Match."""
        headers = dict(self._headers)
        if method != "GET":
            headers["Idempotency-Key"] = str(uuid4())
        if version is not None:
            headers["If-Match"] = version
        started = perf_counter()
        try:
            response = await self._client.request(method, path, headers=headers, **rest)
        except httpx.HTTPError as error:
            self._fail(operation, type(error).__name__)
        if not response.is_success:
            self._fail(operation, f"HTTP {response.status_code}")
        self.tally.latencies[operation].append(perf_counter() - started)
        return response

    def _fail(self, operation: Operation, reason: str) -> NoReturn:
        self.tally.failures[operation][reason] += 1
        raise _FailedError

    async def think(self) -> None:
        """Do what users mostly do."""
        await asyncio.sleep(self.rng.expovariate(1 / _THINK))

    async def session(self) -> None:
        """Take one session from a prompt to its end."""
        prompt = self.rng.choice(prompts())
        first = {"content": prompt.text, "revision_type": "initial"}
        new = {"source": "prompt", "revisions": [first], "metadata": {"entry_point": prompt.entry_point}}
        created = await self.send(Operation.CREATE, "POST", _SESSIONS, json=new)
        self.tally.sessions["created"] += 1
        path = f"{_SESSIONS}/{created.json()['session_id']}"
        await self._refine(path, prompt)
        await self._end(path, prompt)

    async def _refine(self, path: str, prompt: Prompt) -> None:
        """Add drafts and answer their holes, the last ones at once from several tabs, until none is open."""
        open_holes = prompt.holes
        while open_holes:
            await self.send(Operation.ADD_DRAFT, "POST", f"{path}/drafts", json=draft(prompt, self.rng, open_holes))
            await self.think()
            await self.send(Operation.GET, "GET", path)
            answered = open_holes[: self.rng.randint(1, len(open_holes))]
            await asyncio.gather(*(self._resolve(path, hole) for hole in answered))
            filled = {
                "content": f"{prompt.text}# {', '.join(answered)}",
                "revision_type": "hole_fill",
                "target_hole": answered[0],
            }
            await self.send(Operation.ADD_REVISION, "POST", f"{path}/revisions", json=filled)
            open_holes = open_holes[len(answered) :]
            await self.think()
        await self.send(Operation.ADD_DRAFT, "POST", f"{path}/drafts", json=draft(prompt, self.rng, ()))

    async def _resolve(self, path: str, hole: str) -> None:
        kind = "refine_signature" if hole.startswith("param:") else "specify_effect"
        answer = {"resolution_text": f"{hole} is as the examples show", "resolution_type": kind}
        await self.send(Operation.ADD_RESOLUTION, "POST", f"{path}/holes/{hole}/resolve", json=answer)

    async def _end(self, path: str, prompt: Prompt) -> None:
        """Look around, then finalize, abandon or delete."""
        await self.send(Operation.LIST_ACTIVE, "GET", _SESSIONS, params={"status": "active"})
        await self.send(Operation.LIST_ALL, "GET", _SESSIONS)
        version = (await self.send(Operation.GET, "GET", path)).headers["ETag"]
        patch = {"metadata": {"entry_point": prompt.entry_point, "reviewed": True}}
        version = (await self.send(Operation.UPDATE, "PATCH", path, version=version, json=patch)).headers["ETag"]
        await self.think()
        end = self.rng.choices(list(_ENDS), list(_ENDS.values()))[0]
        if end == "finalized":
            solved = {"content": prompt.text + prompt.solution, "revision_type": "manual_edit"}
            version = (await self.send(Operation.ADD_REVISION, "POST", f"{path}/revisions", json=solved)).headers["ETag"]
            await self.send(Operation.UPDATE, "POST", f"{path}/finalize", version=version)
        elif end == "abandoned":
            await self.send(Operation.UPDATE, "POST", f"{path}/abandon", version=version)
        else:
            await self.send(Operation.DELETE, "DELETE", path)
        self.tally.sessions[end] += 1


async def run(
    url: str,
    *,
    users: int,
    duration: float,
    mint: Callable[[UUID], str],
    seed: int,
    on_progress: Callable[[float, int], None] | None = None,
) -> LoadReport:
    """Let *users* work against the API at *url* for *duration* seconds, then let each finish the session it is at.

    *mint* makes a user's token. *seed* decides what users do; who they are is new in each run. *on_progress* is told of the seconds gone
    and of the operations done, twice a second.
    """
    tally, started = Tally(), perf_counter()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=_TIMEOUT, limits=limits) as client, asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(_report_progress(started, tally, on_progress)) if on_progress else None
        workers = [
            tasks.create_task(_work(_User(client, mint(uuid4()), Random(f"{seed}/{n}"), tally), started + duration))  # noqa: S311 - choices of work
            for n in range(users)
        ]
        await asyncio.wait(workers)
        if watch:
            watch.cancel()
    return summarise(tally, perf_counter() - started)


async def _work(user: _User, until: float) -> None:
    # users do not come all at once
    await asyncio.sleep(user.rng.random() * min(1.0, (until - perf_counter()) / 4))
    while perf_counter() < until:
        try:
            await user.session()
        except _FailedError:
            await asyncio.sleep(0.5)  # a service in trouble is not hammered


async def _report_progress(started: float, tally: Tally, on_progress: Callable[[float, int], None]) -> None:
    while True:
        on_progress(perf_counter() - started, tally.operations)
        await asyncio.sleep(0.5)
