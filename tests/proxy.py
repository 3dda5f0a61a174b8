"""A real HTTP/1.1 server between a store and its backend: counts what passes, and breaks it on demand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from socket import SO_LINGER, SOL_SOCKET
from struct import pack
from urllib.parse import urlsplit


class Fault(Enum):
    """What becomes of one exchange."""

    NONE = auto()
    HANG = auto()
    """The request is never answered, nor passed on."""
    RESET = auto()
    """The connection is reset before the request is passed on."""
    LOSE = auto()
    """The request is carried out, and the connection reset instead of an answer."""
    CUT = auto()
    """The request is carried out, and the connection ends in the middle of the answer."""
    DRIP = auto()
    """The answer comes byte by byte."""


@dataclass
class Proxy:
    """The proxy as a test sees it: *fault* decides about each request, by its head and body."""

    fault: Callable[[bytes, bytes], Fault] = lambda _head, _body: Fault.NONE
    cookie: bytes = b""
    """A header that is added to each answer."""
    port: int = 0
    requests: list[tuple[bytes, bytes]] = field(default_factory=list)
    connections: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def drop(self) -> None:
        """Reset every connection, as a restart of a gateway would."""
        for writer in self.connections.copy():
            reset(writer)


@asynccontextmanager
async def proxied(upstream: str) -> AsyncIterator[Proxy]:
    """Give a proxy before *upstream*, an http URL."""
    proxy, to = Proxy(), urlsplit(upstream)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.connections.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            behind = await asyncio.open_connection(to.hostname, to.port)
            try:
                while await _exchange(proxy, reader, writer, behind):
                    pass
            finally:
                behind[1].close()
        proxy.connections.discard(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.drop()


async def _exchange(
    proxy: Proxy,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    behind: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> bool:
    """Pass one request and its answer on; return whether the connection goes on."""
    head, body = await message(reader)
    proxy.requests.append((head, body))
    fault = proxy.fault(head, body)
    if fault is Fault.HANG:
        await reader.read()  # until the caller hangs up
        return False
    if fault is Fault.RESET:
        reset(writer)
        return False
    behind[1].write(head + body)
    answer = b"".join(await message(behind[0])).replace(b"\r\n", b"\r\n" + proxy.cookie, 1)
    if fault is Fault.LOSE:
        reset(writer)
        return False
    if fault is Fault.CUT:
        writer.write(answer[: len(answer) - 10])
        await writer.drain()
        return False
    for part in [answer[at : at + 1] for at in range(len(answer))] if fault is Fault.DRIP else [answer]:
        writer.write(part)
        await writer.drain()
    return True


async def message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read one HTTP message, request or answer: head and body as sent."""
    head = await reader.readuntil(b"\r\n\r\n")
    lowered = head.lower()
    if b"transfer-encoding: chunked" in lowered:
        body = b""
        while True:
            size = await reader.readline()
            chunk = await reader.readexactly(int(size.split(b";")[0], 16) + 2)
            body += size + chunk
            if chunk == b"\r\n":
                return head, body
    _, _, rest = lowered.partition(b"\r\ncontent-length: ")
    return head, await reader.readexactly(int(rest.partition(b"\r\n")[0] or 0))


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST: closing with nothing to linger for."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(SOL_SOCKET, SO_LINGER, pack("ii", 1, 0))
    writer.transport.abort()
