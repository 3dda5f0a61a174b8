"""Whether a process that stores sessions grows: its memory after a hundred thousand operations, and after a million.

    python benchmarks/memory.py [--operations 1000000] [--json FILE]

All nine operations of PostgresSessionStore, by 8 callers at once, who are a thousand users in turn; most succeed, some find nothing,
conflict, or are cancelled. Sessions are deleted again. The process reports to Prometheus metrics and to the log, as a service does.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid4

from prometheus_client import CollectorRegistry, generate_latest
from rich.progress import Progress, TaskID

from lift_store import HoleResolution, IRDraft, NewSession, PostgresSessionStore, Principal, PromptRevision, StoreError
from lift_store.local.postgres import LocalPostgres
from lift_store.observability import observe_on
from lift_store.protocol import Backend
from lift_telemetry.sinks.logs import LogSink

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.report import Result, options, report
from tests.servers import migrated_database

CALLERS, USERS, WARM = 8, 1000, 0.1
GOAL = 1.05


def resident() -> float:
    """Return this process's resident memory in MiB."""
    gc.collect()
    pages = next(line for line in Path("/proc/self/status").read_text("utf-8").splitlines() if line.startswith("VmRSS"))
    return int(pages.split()[1]) / 1024


async def session(store: PostgresSessionStore, user: Principal, rng: random.Random) -> int:
    """Take one session from its creation to its end; return how many operations that were."""
    sessions = store.as_user(user)
    created = await sessions.create(NewSession(revisions=(PromptRevision(content="p" * rng.randint(1, 2000)),)))
    drafted = await sessions.add_draft(created.session_id, IRDraft(ir={"n": list(range(rng.randint(1, 100)))}))
    await sessions.add_revision(created.session_id, PromptRevision(content="q" * 200))
    await sessions.add_resolution(created.session_id, HoleResolution(hole_id="h", resolution_text="r"))
    await sessions.get(created.session_id)
    await sessions.list_active(20)
    await sessions.list_all(limit=20)
    with suppress(StoreError):
        await sessions.update(created.session_id, version=drafted.version, metadata={"stale": True})
    with suppress(StoreError):
        await sessions.add_revision(UUID(int=rng.getrandbits(128)), PromptRevision(content="to nobody"))
    with suppress(TimeoutError):
        async with asyncio.timeout(rng.uniform(0, 0.002)):
            await sessions.get(created.session_id)
    await sessions.delete(created.session_id)
    return 11


async def work(store: PostgresSessionStore, registry: CollectorRegistry, operations: int, progress: Progress, task: TaskID) -> None:
    """Make so many operations, and scrape now and then."""
    users = [Principal(uuid4()) for _ in range(USERS)]
    left = operations

    async def caller(seed: int) -> None:
        nonlocal left
        rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
        while left > 0:
            made = await session(store, rng.choice(users), rng)
            left -= made
            progress.update(task, advance=made)
            if rng.random() < 0.01:
                generate_latest(registry)

    await asyncio.gather(*(caller(n) for n in range(CALLERS)))


async def grow(operations: int) -> tuple[float, float]:
    """Return the resident memory after a tenth of the operations, and after all."""
    registry = CollectorRegistry()
    with LocalPostgres.temporary() as server, Progress() as progress:
        database = migrated_database(server)
        task = progress.add_task("operations", total=operations)
        async with PostgresSessionStore(database.app, observability=observe_on(registry, Backend.POSTGRES, LogSink())) as store:
            await work(store, registry, round(operations * WARM), progress, task)
            warm = resident()
            await work(store, registry, round(operations * (1 - WARM)), progress, task)
            return warm, resident()


def main() -> None:
    """Measure, and say how it went."""
    parser = options(__doc__ or "")
    parser.add_argument("--operations", type=int, default=1_000_000, help="in all (default 1000000)")
    chosen = parser.parse_args()
    warm, after = asyncio.run(grow(chosen.operations))
    ratio = after / warm
    name = f"memory after {chosen.operations:,} operations"
    report([Result(name, warm, after, "MiB", ratio, "x", f"at most {GOAL} x", ratio <= GOAL)], chosen.json)


if __name__ == "__main__":
    main()
