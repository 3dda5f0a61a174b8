"""The replay server does what it says, seen by the HTTP client of the Supabase store and by a bare socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import httpx
import pytest
from httpx_aiohttp import AiohttpTransport

from tests.replay.recorded import VERSIONS, recorded
from tests.replay.server import How, ReplayServer, Reply, in_turn

OK = Reply(headers=(("Content-Type", "application/json"), ("X-Custom", "a")), body=b'{"answer": "the whole of it"}')


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Requests with a deadline that only a server that hangs can miss."""
    async with httpx.AsyncClient(transport=AiohttpTransport(), timeout=10) as client:
        yield client


@pytest.mark.parametrize("how", [How.WHOLE, How.CHUNKED])
@pytest.mark.parametrize("version", VERSIONS)
async def test_every_recorded_answer_arrives_as_it_was(version: str, how: How, client: httpx.AsyncClient) -> None:
    """Status, reason, every header that is not the framing, and the body, one after the other on few connections."""
    conditions = [condition for condition in recorded(version).values() if condition.reply.how is How.WHOLE]
    async with ReplayServer(in_turn(*(replace(condition.reply, how=how) for condition in conditions))) as server:
        for condition in conditions:
            answer = await client.request(condition.method, server.url)
            sent = condition.reply
            assert (answer.status_code, answer.reason_phrase, answer.content) == (sent.status, sent.reason, sent.body), condition.name
            framing = {"content-length", "transfer-encoding"}
            assert {name: value for name, value in answer.headers.items() if name not in framing} == {
                name.lower(): value for name, value in sent.headers if name.lower() not in framing
            }, condition.name
        closing = sum(("Connection", "close") in condition.reply.headers for condition in conditions[:-1])
        assert (len(server.received), server.connections) == (len(conditions), 1 + closing)


async def test_it_keeps_what_it_received(client: httpx.AsyncClient) -> None:
    """Method, path with its query, headers, body, and on which connection."""
    async with ReplayServer(in_turn(OK)) as server:
        await client.post(f"{server.url}/rest/v1/rpc/f?a=1", headers={"X-One": "1"}, json={"b": 2})
        await client.get(server.url)
        first, second = server.received
        assert (first.method, first.path, first.headers["x-one"], first.body) == ("POST", "/rest/v1/rpc/f?a=1", "1", b'{"b":2}')
        assert (second.method, second.path, second.body) == ("GET", "/", b"")
        assert first.connection == second.connection == server.connections == 1


async def test_the_answer_can_depend_on_the_request(client: httpx.AsyncClient) -> None:
    """And another way of answering can be set on the way."""
    async with ReplayServer(lambda request: replace(OK, body=request.path.encode())) as server:
        assert [(await client.get(f"{server.url}/{path}")).text for path in "ab"] == ["/a", "/b"]
        server.answer = in_turn(replace(OK, status=503, reason="Service Unavailable"), OK)
        assert [(await client.get(server.url)).status_code for _ in range(3)] == [503, 200, 200]


async def test_a_slow_answer_comes_byte_by_byte() -> None:
    """Seen on a bare socket: as many pieces as there are bytes, unless the kernel joins some; and the whole in the end."""
    async with ReplayServer(in_turn(replace(OK, how=How.SLOW)), pause=0.002) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        pieces: list[bytes] = []
        while not b"".join(pieces).endswith(OK.body):
            pieces.append(await reader.read(1000))
        assert len(pieces) > len(b"".join(pieces)) / 2
        assert b"".join(pieces).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("how", "ends"),
    [(How.HALF_THEN_RESET, True), (How.HALF_THEN_CLOSE, False), (How.RESET, True), (How.CLOSE, False)],
)
@pytest.mark.parametrize("body", [OK.body, b""])
async def test_an_answer_is_cut_off(how: How, ends: bool, body: bytes) -> None:
    """Midway or before its first byte, by a reset or in order."""
    async with ReplayServer(in_turn(replace(OK, body=body, how=how))) as server:
        received = await asyncio.to_thread(_read_all, server.port)
        assert received.was_reset is ends
        if how in {How.RESET, How.CLOSE}:
            assert received.data == b""
        elif body:
            assert received.data.endswith(b"\r\n\r\n" + body[: len(body) // 2])
        else:
            assert received.data.startswith(b"HTTP/1.1 200")
            assert b"\r\n\r\n" not in received.data


async def test_a_hanging_answer_ends_with_the_client(client: httpx.AsyncClient) -> None:
    """A cancelled request closes its connection, which the server sees."""
    async with ReplayServer(in_turn(Reply(how=How.HANG))) as server:
        request = asyncio.create_task(client.get(server.url))
        await server.wait_for(lambda server: len(server.received) == 1)
        assert server.open_connections == 1
        request.cancel()
        await server.wait_for(lambda server: server.open_connections == 0)


async def test_it_restarts_on_its_port(client: httpx.AsyncClient) -> None:
    """Stopped, it refuses connections and has reset the open ones, whatever they waited for; then it answers again."""
    async with ReplayServer(in_turn(Reply(how=How.HANG), OK)) as server:
        request = asyncio.create_task(client.get(server.url))
        await server.wait_for(lambda server: len(server.received) == 1)
        await server.stop()
        with pytest.raises(httpx.RequestError):
            await request
        with pytest.raises(httpx.TransportError) as refused:
            await client.get(server.url)
        assert isinstance(refused.value.__cause__, aiohttp.ClientConnectorError)
        port = server.port
        await server.start()
        assert (server.port, (await client.get(server.url)).content) == (port, OK.body)


class _Received:
    def __init__(self, data: bytes, *, was_reset: bool) -> None:
        self.data = data
        self.was_reset = was_reset


def _read_all(port: int) -> _Received:
    data = b""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            while piece := connection.recv(1000):
                data += piece
        except ConnectionResetError:
            return _Received(data, was_reset=True)
    return _Received(data, was_reset=False)
