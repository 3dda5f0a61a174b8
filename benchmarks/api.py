"""What the API costs: reading one session over HTTP, against a bare FastAPI route that does the same single SQL statement.

    python benchmarks/api.py [--seconds 8] [--json FILE]

With 1, 8 and 64 clients. The service is `lift-store serve` as in production: token, row-level security, telemetry, a log line a request,
pydantic. The baseline is benchmarks/bare.py under the same uvicorn, loop and parser. Both are processes of their own on one PostgreSQL, and
take turns, block by block. The goal is about the CPU of the process a request, as the kernel counts it; throughput and percentiles are
those of clients each of whom sends its next request when it has its answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter
from urllib.request import urlopen
from uuid import UUID, uuid4

from prometheus_client import CollectorRegistry

from lift_store import HoleResolution, IRDraft, NewSession, PostgresSessionStore, Principal, PromptRevision
from lift_store.local.postgres import LocalPostgres
from lift_store.local.process import free_port
from lift_store.local.token import mint
from lift_store.observability import observe_on
from lift_store.protocol import Backend

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' databases, made as a project would make them
from benchmarks.report import Result, options, report
from tests.servers import Database, migrated_database

CLIENTS = (1, 8, 64)
BLOCKS = 4
SECRET = "only-for-this-benchmark-and-nowhere-else"  # noqa: S105 - of a throwaway server
TICK = 1 / os.sysconf("SC_CLK_TCK")
PROGRAMS = Path(sys.executable).parent


@dataclass
class Side:
    """One of the two servers, and what was measured of it."""

    pid: int
    port: int
    request: bytes
    cpu: float = 0.0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    def used(self) -> float:
        """Return the seconds of CPU that the process has used, all threads, user and system."""
        stat = Path(f"/proc/{self.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) * TICK

    async def load(self, clients: int, seconds: float) -> None:
        """Let so many clients ask again and again, and add what that took."""
        cpu, started = self.used(), perf_counter()
        await asyncio.gather(*(self._client(started + seconds) for _ in range(clients)))
        self.seconds += perf_counter() - started
        self.cpu += self.used() - cpu

    async def _client(self, until: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while (sent := perf_counter()) < until:
            writer.write(self.request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head  # noqa: S101 - a figure of errors would mislead
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]))
            self.latencies.append(perf_counter() - sent)
        writer.close()


@dataclass(frozen=True)
class Measured:
    """What *clients* saw of one server."""

    server: str
    clients: int
    requests_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_ms: float

    @classmethod
    def of(cls, server: str, clients: int, side: Side) -> Measured:
        """Sum up, and start again from nothing."""
        cuts = [1000 * cut for cut in statistics.quantiles(side.latencies, n=100)]
        count = len(side.latencies)
        made = cls(server, clients, count / side.seconds, cuts[49], cuts[94], cuts[98], 1000 * side.cpu / count)
        side.cpu, side.seconds, side.latencies = 0.0, 0.0, []
        return made


@contextmanager
def process(command: list[str], log: Path, **environment: str) -> Iterator[int]:
    """Run *command* until the block ends; gives its process id."""
    with log.open("wb") as output:
        running = subprocess.Popen(command, stdout=output, stderr=output, env=dict(os.environ) | environment)  # noqa: S603 - our own programs
    try:
        yield running.pid
    finally:
        running.terminate()
        running.wait()


def wait_for(port: int) -> None:
    """Wait until something answers there."""
    deadline = monotonic() + 30
    while True:
        try:
            urlopen(f"http://127.0.0.1:{port}/openapi.json", timeout=1).close()
        except OSError:
            if monotonic() > deadline:
                raise
        else:
            return


async def session_of(database: Database, user: UUID) -> UUID:
    """Store a prompt, one draft of about 2 kB and an answer."""
    ir = {"signature": {"name": "f"}, "effects": [{"kind": "pure", "note": "n" * 60} for _ in range(20)]}
    new = NewSession(
        revisions=(PromptRevision(content="def f(x): ..." * 20),),
        ir_drafts=(IRDraft(ir=ir, ambiguities=("x",)),),
        pending_resolutions=(HoleResolution(hole_id="x", resolution_text="an int"),),
    )
    async with PostgresSessionStore(database.app, observability=observe_on(CollectorRegistry(), Backend.POSTGRES)) as store:
        return (await store.as_user(Principal(user)).create(new)).session_id


async def compare(bare: Side, ours: Side, seconds: float) -> tuple[list[Result], list[Measured]]:
    """Load both in turns."""
    results, measured = [], []
    for side in (bare, ours):  # warm: prepared statements, pools, caches
        await side.load(8, 1)
    Measured.of("", 0, bare), Measured.of("", 0, ours)
    for clients in CLIENTS:
        for block in range(BLOCKS):
            for side in (bare, ours) if block % 2 else (ours, bare):
                await side.load(clients, seconds / BLOCKS)
        base, subject = Measured.of("bare FastAPI route", clients, bare), Measured.of("lift-store", clients, ours)
        measured += [base, subject]
        ratio = subject.cpu_ms / base.cpu_ms
        results.append(Result(f"CPU, {clients} clients", base.cpu_ms, subject.cpu_ms, "ms", ratio, "x", "at most 1.3 x", ratio <= 1.3))
    return results, measured


def main() -> None:
    """Measure, and say how it went."""
    parser = options(__doc__ or "")
    parser.add_argument("--seconds", type=float, default=8, help="for each server and number of clients (default 8)")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        server = stack.enter_context(LocalPostgres.temporary())
        database, user, folder = migrated_database(server), uuid4(), Path(stack.enter_context(TemporaryDirectory()))
        session = asyncio.run(session_of(database, user))
        ports = free_port(), free_port(), free_port()
        head = f"GET /api/sessions/{session} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {mint(SECRET, user)}\r\n\r\n".encode()
        claims = json.dumps({"sub": str(user), "role": "authenticated"})
        uvicorn = [str(PROGRAMS / "uvicorn"), "--app-dir", str(Path(__file__).parent), "bare:app", "--port", str(ports[0])]
        bare = stack.enter_context(
            process([*uvicorn, "--no-access-log"], folder / "bare.log", DATABASE_URL=database.app, BARE_CLAIMS=claims)
        )
        ours = stack.enter_context(
            process(
                [str(PROGRAMS / "lift-store"), "serve"],
                folder / "ours.log",
                DATABASE_URL=database.app,
                SUPABASE_JWT_SECRET=SECRET,
                LIFT_STORE_PORT=str(ports[1]),
                LIFT_STORE_OPERATOR_PORT=str(ports[2]),
            )
        )
        wait_for(ports[0])
        wait_for(ports[1])
        results, measured = asyncio.run(compare(Side(bare, ports[0], head), Side(ours, ports[1], head), chosen.seconds))
    report(results, chosen.json, measured=[asdict(m) for m in measured])


if __name__ == "__main__":
    main()
