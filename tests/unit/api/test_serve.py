"""The whole service as a process: both ports, readiness, signals, bad ports."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

from lift_store.local.process import free_port
from tests.service import ended, ready, service
from tests.unit.api.tokens import token


async def test_both_ports_serve_until_told_to_stop(tmp_path: Path) -> None:
    """Sessions and probes on one port, metrics on the other; SIGTERM ends it with exit code 0."""
    async with service(tmp_path) as running:
        await ready(running)
        created = await running.api.post("/api/sessions", json={}, headers={"Authorization": f"Bearer {token(iss=None)}"})
        assert created.status_code == 201
        assert (await running.api.get("/health/ready")).json() == {"status": "pass"}
        assert (await running.api.get("/metrics")).status_code == 404
        scraped = (await running.operator.get("/metrics")).text
        assert 'lift_store_sessions_created_total{source="prompt"} 1.0' in scraped
        assert "process_resident_memory_bytes" in scraped
        assert "server" not in created.headers
        running.process.send_signal(signal.SIGTERM)
        assert await ended(running, within=5) == 0


async def test_a_dead_database_does_not_keep_it_from_starting(tmp_path: Path) -> None:
    """Live and ready, with a warning, and unwell: a restart or another instance would not help."""
    dead = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    async with service(tmp_path, LIFT_STORE_BACKEND="postgres", DATABASE_URL=dead, LIFT_STORE_POOL_ACQUIRE_TIMEOUT=0.5) as running:
        await ready(running)
        assert (await running.api.get("/health/live")).status_code == 200
        answer = await running.api.get("/health/ready", timeout=10)
        assert (answer.status_code, answer.json()["status"]) == (200, "warn")
        assert (await running.api.get("/health")).status_code == 503
        refused = await running.api.get("/api/sessions", headers={"Authorization": f"Bearer {token()}"}, timeout=10)
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) >= 1
        running.process.send_signal(signal.SIGINT)
        assert await ended(running, within=10) == 0


async def test_draining_is_not_ready_and_a_second_signal_ends_it(tmp_path: Path) -> None:
    """While it drains ready says so and requests are still answered; nobody has to wait for it to finish."""
    async with service(tmp_path, LIFT_STORE_DRAIN_DELAY=60) as running:
        await ready(running)
        running.process.send_signal(signal.SIGTERM)
        while (answer := await running.api.get("/health/ready")).status_code == 200:  # noqa: ASYNC110 - polls as a load balancer does
            await asyncio.sleep(0.02)
        assert answer.json() == {"status": "fail", "output": "draining"}
        assert (await running.api.get("/health/live")).status_code == 200
        running.process.send_signal(signal.SIGTERM)
        assert await ended(running, within=2) == 130


async def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    """The variable is named, and what it takes; no traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with service(tmp_path, LIFT_STORE_OPERATOR_PORT=taken.getsockname()[1]) as running:
            assert await ended(running, within=20) == 1
            errors = running.log.read_text()
            assert errors.startswith("LIFT_STORE_OPERATOR_PORT takes a free port")
            assert errors.count("\n") == 1
