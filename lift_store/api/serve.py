"""Serve the API and the operator port from one event loop, until told to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lift_store.settings import Settings


async def run(settings: Settings, *, on_ready: Callable[[], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; *on_ready* is called once both ports answer."""
    raise NotImplementedError
