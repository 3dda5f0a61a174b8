"""How late the event loop runs what it was asked to run: the first sign of blocking code."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import perf_counter
from types import TracebackType
from typing import Protocol, Self


class _Observes(Protocol):
    def observe(self, amount: float) -> None: ...


class LoopLag:
    """Observes the lag of a timer every *period* seconds, from `async with` to its end."""

    def __init__(self, histogram: _Observes, *, period: float = 1.0) -> None:
        self._histogram = histogram
        self._period = period

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._measure())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _measure(self) -> None:
        while True:
            due = perf_counter() + self._period
            await asyncio.sleep(self._period)
            self._histogram.observe(max(0.0, perf_counter() - due))
