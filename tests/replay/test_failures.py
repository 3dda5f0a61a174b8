"""What a request ends with where the network or the server fails, over real sockets, and what it means."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import httpx
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from httpx_aiohttp import AiohttpTransport

from lift_store.errors import DeadlineError, InternalError, StoreError, UnavailableError
from lift_store.supabase.classify import failure
from tests.replay.server import How, ReplayServer, Reply, in_turn

BODY = b'{"answer": "s-e-c-r-e-t"}' * 20


class NoAddress(AbstractResolver):
    """A resolver that knows no name, without asking anybody."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """Fail as the system's does."""
        raise socket.gaierror(socket.EAI_NONAME, f"{host} {port} {family}")

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture(params=["aiohttp", "httpcore"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    """The transport of the store, and httpx's own, which an application may have put there."""
    transport = AiohttpTransport() if request.param == "aiohttp" else httpx.AsyncHTTPTransport()
    async with httpx.AsyncClient(transport=transport, timeout=httpx.Timeout(10, read=0.3)) as client:
        yield client


async def failed(client: httpx.AsyncClient, url: str) -> StoreError:
    """Make a request that fails, and say what that means."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 - whichever; that is what is classified
        await client.post(url, json={"prompt": "s-e-c-r-e-t"})
    assert "s-e-c-r-e-t" not in str(failure(raised.value))
    return failure(raised.value)


@pytest.mark.parametrize(
    ("how", "error"),
    [
        (How.RESET, UnavailableError),
        (How.CLOSE, UnavailableError),
        (How.HALF_THEN_RESET, UnavailableError),
        (How.HALF_THEN_CLOSE, UnavailableError),
        (How.HANG, DeadlineError),
    ],
)
async def test_an_answer_that_does_not_come(how: How, error: type[StoreError], client: httpx.AsyncClient) -> None:
    """Cut off it is a backend that is not there; not begun in time, a deadline: the write may have happened either way."""
    async with ReplayServer(in_turn(Reply(body=BODY, how=how))) as server:
        assert type(await failed(client, server.url)) is error


async def test_an_answer_that_cannot_be_decoded(client: httpx.AsyncClient) -> None:
    """Is as good as none."""
    async with ReplayServer(in_turn(Reply(headers=(("Content-Encoding", "gzip"),), body=BODY))) as server:
        assert type(await failed(client, server.url)) is UnavailableError


async def test_a_server_that_does_not_speak_http(client: httpx.AsyncClient) -> None:
    """Answers nothing that we could read."""
    async with ReplayServer(in_turn(Reply(reason="OK\r\n: :\r\n\x00"))) as server:
        assert type(await failed(client, server.url)) is UnavailableError


async def test_nobody_listens(client: httpx.AsyncClient) -> None:
    """The system's reason is in the message."""
    server = ReplayServer(in_turn(Reply()))
    async with server:
        pass
    assert str(await failed(client, server.url)).startswith("the host of SUPABASE_URL cannot be reached")


async def test_a_name_without_address() -> None:
    """Is said as such."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=NoAddress())) as session,
        httpx.AsyncClient(transport=AiohttpTransport(client=session)) as client,
    ):
        error = await failed(client, "http://project.supabase.invalid")
        assert (type(error), str(error)) == (UnavailableError, "the host of SUPABASE_URL has no address")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1"])
async def test_an_address_that_is_none(url: str, client: httpx.AsyncClient) -> None:
    """Is ours to mend."""
    error = await failed(client, url)
    assert (type(error), str(error)) == (InternalError, "SUPABASE_URL cannot be called; check it")


async def test_a_server_without_tls(client: httpx.AsyncClient) -> None:
    """As a gateway that is starting, or https:// where http:// belongs."""
    server = await asyncio.start_server(_refuse_tls, "127.0.0.1", 0)
    async with server:
        assert type(await failed(client, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")) is UnavailableError


async def test_a_certificate_of_nobody_we_trust(tmp_path: Path) -> None:
    """Waiting does not mend it. httpcore hides what it was, so this is of the store's own transport."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server, httpx.AsyncClient(transport=AiohttpTransport()) as client:
        error = await failed(client, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert type(error) is InternalError
    assert str(error) == "the certificate of SUPABASE_URL is not trusted; check the URL, this machine's certificates and its clock"


async def _refuse_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


def certificate(folder: Path) -> Path:
    """Write a certificate for 127.0.0.1 that signed itself, with its key, and return the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    plain = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "certificate.pem"
    file.write_bytes(plain + signed.public_bytes(serialization.Encoding.PEM))
    return file
