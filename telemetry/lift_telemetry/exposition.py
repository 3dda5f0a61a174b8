"""/metrics: a registry as text, in the format that the scraper asks for, without holding up the event loop."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector


async def render(
    registry: CollectorRegistry, accept: str | None, accept_encoding: str | None, names: Sequence[str] = ()
) -> tuple[bytes, dict[str, str]]:
    """Return the body of an answer to a scrape and its headers.

    OpenMetrics, which alone carries exemplars, where *accept* names it; gzip where *accept_encoding* does. *names* restricts the answer to
    these series. Rendering takes tens of milliseconds on a large registry, so it runs in a thread.
    """
    encoder, content_type = choose_encoder(accept or "")
    body = await asyncio.to_thread(_encode, encoder, registry, names)
    headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
    if _takes_gzip(accept_encoding):
        body = await asyncio.to_thread(gzip.compress, body, 1)
        headers["Content-Encoding"] = "gzip"
    return body, headers


def _encode(encoder: Callable[[Collector], bytes], registry: CollectorRegistry, names: Sequence[str]) -> bytes:
    return encoder(registry.restricted_registry(names) if names else registry)


def _takes_gzip(accept_encoding: str | None) -> bool:
    codings = [coding.split(";") for coding in (accept_encoding or "").split(",")]
    return any(coding[0].strip().lower() == "gzip" and "".join(coding[1:]).replace(" ", "") not in ("q=0", "q=0.0") for coding in codings)
