"""The API's own metrics: requests, rejected tokens, health."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lift_store import catalog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lift_telemetry.instruments import Instruments

_OTHER: Final = "_OTHER"
_CLASSES: Final = ("2xx", "3xx", "4xx", "5xx")
_KNOWN_METHODS: Final = frozenset(catalog.HTTP_METHODS)


class ApiMetrics:
    """Sets the API's metrics among *instruments*."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments

    def expect(self, routes: Iterable[tuple[str, str]]) -> None:
        """Create the series of the (method, template) *routes* at 0: a first error must be a rise, not a beginning."""
        for method, template in routes:
            for status_class in _CLASSES:
                self._instruments.child(catalog.HTTP_DURATION, method, template, status_class)

    def request(self, method: str, template: str, status: int, seconds: float) -> None:
        """Observe one request. A method that is none of HTTP's is `_OTHER`: callers must not be able to make series."""
        known = method if method in _KNOWN_METHODS else _OTHER
        self._instruments.child(catalog.HTTP_DURATION, known, template, f"{status // 100}xx").observe(seconds)

    def reject(self, reason: str) -> None:
        """Count a request that was turned away for its token."""
        self._instruments.child(catalog.AUTH_REJECTIONS, reason).inc()

    def health(self, check: str, value: float) -> None:
        """Publish the result of a health check."""
        self._instruments.child(catalog.HEALTH, check).set(value)

    def migrations(self, state: str, count: float) -> None:
        """Publish how many migrations are in *state*."""
        self._instruments.child(catalog.MIGRATIONS, state).set(count)

    def build(self, version: str, backend: str) -> None:
        """Publish which release runs, on which backend."""
        self._instruments.child(catalog.BUILD_INFO, version, backend).set(1)
