"""Several processes under one Prometheus: what it adds up is what was done, a restart included."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from configparser import ConfigParser
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from lift_store.local.process import free_port
from lift_store.local.prometheus import LocalPrometheus
from lift_store.settings import Settings
from tests.servers import Database
from tests.service import Running, ended, eventually, ready, service
from tests.unit.api.tokens import token

OPERATIONS = "lift_store_operations_total"
UNIT = Path(__file__).parents[2] / "deploy/systemd/lift-store@.service"


@dataclass
class Load:
    """Sessions made and read by one user at one process, until told to stop."""

    running: Running
    made: Counter[str] = field(default_factory=Counter)
    stop: Event = field(default_factory=Event)

    def run(self) -> None:
        """Create, append, read and list, over one connection; each answer is counted, and must be a success."""
        connection = HTTPConnection("127.0.0.1", self.running.ports[0], timeout=30)
        headers = {"Authorization": f"Bearer {token(iss=None)}", "Content-Type": "application/json"}

        def send(operation: str, method: str, path: str, body: object = None) -> Any:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status < 300, (operation, answer.status, content)
            self.made[operation] += 1
            return json.loads(content)

        while not self.stop.is_set():
            session = f"/api/sessions/{send('create', 'POST', '/api/sessions', {})['session_id']}"
            send("add_revision", "POST", f"{session}/revisions", {"content": "a"})
            for _ in range(7):
                send("get", "GET", session)
            send("list_all", "GET", "/api/sessions?limit=1")
        connection.close()


@asynccontextmanager
async def loads(processes: list[Running]) -> AsyncIterator[list[Load]]:
    """Load each process, until the block ends."""
    started = [Load(running) for running in processes]
    async with asyncio.TaskGroup() as tasks:
        for load in started:
            tasks.create_task(asyncio.to_thread(load.run))
        try:
            yield started
        finally:
            for load in started:
                load.stop.set()


async def at_least(load: list[Load], operations: int) -> None:
    """Wait until so many operations were made."""

    async def made() -> bool:
        return sum(sum(one.made.values()) for one in load) >= operations

    await eventually(made, within=600)


def grown(prometheus: LocalPrometheus) -> Counter[str]:
    """Return how much the counters of all processes grew, by operation: from the samples themselves, resets as `increase` counts them.

    `increase` itself also estimates what lies before the first and after the last sample, which is not what we count.
    """
    query = urlencode({"query": f'{OPERATIONS}{{outcome="ok"}}[1h]'})
    with urlopen(f"{prometheus.url}/api/v1/query?{query}", timeout=30) as answer:  # noqa: S310 - our own loopback URL
        result = json.load(answer)["data"]["result"]
    total = Counter[str]()
    for series in result:
        samples = [float(value) for _, value in series["values"]]
        total[series["metric"]["operation"]] += int(sum(b - a if b >= a else b for a, b in pairwise(samples)))
    return +total


async def scraped(prometheus: LocalPrometheus, processes: list[Running]) -> None:
    """Wait until Prometheus knows what each process says now."""

    async def same() -> bool:
        for running in processes:
            said = (await running.operator.get("/metrics")).text
            instance = f'instance="127.0.0.1:{running.ports[1]}"'
            known = prometheus.query(f"sum({OPERATIONS}{{{instance}}})")
            now = sum(float(line.rpartition(" ")[2]) for line in said.splitlines() if line.startswith(f"{OPERATIONS}{{"))
            if [float(series["value"][1]) for series in known] != [now]:
                return False
        return True

    await eventually(same)


@pytest.mark.parametrize(
    "operations", [10_000, pytest.param(100_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])], ids="{} operations".format
)
@pytest.mark.parametrize("count", [2, 4], ids="{} processes".format)
async def test_sums_are_what_was_done(tmp_path: Path, database: Database, count: int, operations: int) -> None:
    """One of them restarts while the others are under load; every operation is in the sums, and none twice."""
    start = partial(service, tmp_path, LIFT_STORE_BACKEND="postgres", DATABASE_URL=database.app, LIFT_STORE_POOL_MAX_SIZE=4)
    ports = [(free_port(), free_port()) for _ in range(count)]
    with LocalPrometheus(tmp_path, [f"127.0.0.1:{operator}" for _, operator in ports], interval="1s") as prometheus:
        async with AsyncExitStack() as stack:
            first, *others = [await stack.enter_async_context(start(pair)) for pair in ports]
            for running in (first, *others):
                await ready(running)
            await scraped(prometheus, [first, *others])  # its counters are there, at 0, before anything is done
            async with loads(others) as load:
                async with loads([first]) as before:
                    await at_least(load + before, operations // 2)
                await scraped(prometheus, [first])
                first.process.terminate()
                assert await ended(first, within=20) == 0
                again = await stack.enter_async_context(start(ports[0]))
                await ready(again)
                async with loads([again]) as after:
                    await at_least(load + before + after, operations)
            await scraped(prometheus, [again, *others])
            made = sum((one.made for one in load + before + after), Counter[str]())
            assert made.total() >= operations
            assert all(one.made for one in load + before + after)
            assert grown(prometheus) == made
            [up] = prometheus.query('sum(up{job="lift-store"})')
            assert float(up["value"][1]) == count
            [in_flight] = prometheus.query("sum(lift_store_operations_in_flight)")
            assert float(in_flight["value"][1]) == 0
            for running in (again, *others):
                running.process.terminate()
                assert await ended(running, within=20) == 0


def test_the_systemd_template_gives_each_process_ports_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it sets are settings of the service, valid for every instance of two digits, and no port is given twice."""
    unit = ConfigParser(interpolation=None, strict=False, delimiters=("=",), comment_prefixes="#")
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    lines = UNIT.read_text().splitlines()
    unit.read_string("\n".join(line for line in lines if not line.startswith("Environment=")))
    assert unit["Service"]["ExecStart"].endswith("lift-store serve")
    known = {str(setting.validation_alias) for setting in Settings.model_fields.values()}
    taken = set()
    for number in range(1, 100):
        for line in lines:
            if line.startswith("Environment="):
                name, _, value = line.removeprefix("Environment=").partition("=")
                assert name in known
                monkeypatch.setenv(name, value.replace("%i", f"{number:02}"))
        settings = Settings.load(backend_choice="memory", jwt_secret="x" * 32)
        taken |= {settings.port, settings.operator_port}
    assert len(taken) == 198
