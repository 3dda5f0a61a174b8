"""An HTTP/1.1 server over real sockets that answers what it is told: whole, in chunks, slowly, cut off midway, or never.

async with ReplayServer(in_turn(refused, ok)) as server:
    ...                                             # a client of server.url
    assert [request.path for request in server.received] == ["/rest/v1/rpc/session_get"] * 2
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, Self

_NO_BODY: Final = frozenset({204, 304})
_OWN_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class How(Enum):
    """How an answer is sent."""

    WHOLE = auto()
    CHUNKED = auto()
    """With chunked transfer encoding, in chunks of 7 bytes."""
    SLOW = auto()
    """Byte by byte, each after the server's `pause`; the head as well."""
    HALF_THEN_RESET = auto()
    """Half of the body, or of the head where there is no body; then TCP RST."""
    HALF_THEN_CLOSE = auto()
    """The same, then an orderly end of the connection."""
    RESET = auto()
    """Not a byte, then TCP RST."""
    CLOSE = auto()
    """Not a byte, then an orderly end of the connection."""
    HANG = auto()
    """Not a byte, and the connection stays open until the client ends it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. Content-Length and Transfer-Encoding follow from `how`, except to HEAD, which gets the headers as they are."""

    status: int = 200
    reason: str = "OK"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    how: How = How.WHOLE


@dataclass(frozen=True, slots=True)
class Received:
    """One request. Names of headers are in lower case; `connection` counts from 1 in the order in which they were accepted."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


Answering = Callable[[Received], Reply]
"""Decides on the answer to a request."""


def in_turn(*replies: Reply) -> Answering:
    """Return what gives *replies* one after the other, and the last one from then on."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


@dataclass
class ReplayServer:
    """A server on a free port of 127.0.0.1, the same one over stop() and start().

    `answer` may be set to another at any time. `pause`: seconds before each byte of a slow answer.
    """

    answer: Answering
    pause: float = 0.001
    received: list[Received] = field(default_factory=list)
    """The requests, whole ones only, in the order in which they came."""
    connections: int = 0
    """How many connections were accepted so far."""
    port: int = 0
    _listener: asyncio.Server | None = None
    _open: set[asyncio.Task[None]] = field(default_factory=set)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        """Where it listens, or did."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        """How many connections no side has ended yet."""
        return len(self._open)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, on the port of before where there was one."""
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port, backlog=1024)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no longer, which refuses new connections, and reset those that are open."""
        if self._listener:
            self._listener.close()
            self._listener = None
        open_now = tuple(self._open)
        for connection in open_now:
            connection.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)

    async def wait_for(self, condition: Callable[[Self], bool]) -> None:
        """Return as soon as *condition* holds; it is asked again at every request, connection and end of one."""
        async with self._changed:
            await self._changed.wait_for(lambda: condition(self))

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.connections += 1
        number = self.connections
        try:
            await self._tell()
            while (request := await _read(reader, number)) and await self._serve(request, reader, writer):
                pass
            writer.close()
        except (ConnectionError, asyncio.IncompleteReadError):  # the client went away
            writer.close()
        except asyncio.CancelledError:
            _reset(writer)
        finally:
            self._open.discard(task)
            await self._tell()

    async def _serve(self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer, and return whether the connection lives on."""
        self.received.append(request)
        await self._tell()
        reply = self.answer(request)
        head, body = _framed(reply, request.method)
        match reply.how:
            case How.HANG:
                await reader.read()
            case How.WHOLE | How.CHUNKED:
                writer.write(head + body)
                await writer.drain()
            case How.SLOW:
                await self._write_slowly(head + body, writer)
            case How.HALF_THEN_RESET | How.HALF_THEN_CLOSE:
                writer.write(head + body[: len(body) // 2] if body else head[: len(head) // 2])
                await writer.drain()
        if reply.how in {How.RESET, How.HALF_THEN_RESET}:
            _reset(writer)
        lives_on = reply.how in {How.WHOLE, How.CHUNKED, How.SLOW}
        return lives_on and ("connection", "close") not in {(name.lower(), value) for name, value in reply.headers}

    async def _write_slowly(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        for i in range(len(data)):
            await asyncio.sleep(self.pause)
            writer.write(data[i : i + 1])
            await writer.drain()


async def _read(reader: asyncio.StreamReader, connection: int) -> Received | None:
    """Return the next request, or None where the client ended the connection. Its body must have a Content-Length."""
    first = await reader.read(1)
    if not first:
        return None
    lines = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
    assert "transfer-encoding" not in headers, "a request in chunks; send it with Content-Length"
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, path, headers, body, connection)


def _framed(reply: Reply, method: str) -> tuple[bytes, bytes]:
    headers = [header for header in reply.headers if method == "HEAD" or header[0].lower() not in _OWN_FRAMING]
    body = b"" if method == "HEAD" or reply.status in _NO_BODY else reply.body
    if method != "HEAD" and reply.status not in _NO_BODY:
        if reply.how is How.CHUNKED:
            headers.append(("Transfer-Encoding", "chunked"))
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in _parts(body)) + b"0\r\n\r\n"
        else:
            headers.append(("Content-Length", str(len(body))))
    lines = [f"HTTP/1.1 {reply.status} {reply.reason}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode(), body


def _parts(body: bytes) -> list[bytes]:
    return [body[i : i + 7] for i in range(0, len(body), 7)]


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with TCP RST."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
