"""What the store costs, as ratios against baselines of the same run.

    python benchmarks/store.py [--rounds 2000] [--json FILE]

get        PostgresSessionStore.get (pool, row-level security, telemetry, pydantic) against the same read by bare psycopg: the same
           documents by one prepared statement on one connection, as superuser without row-level security, parsed by json.
decorator  one observed coroutine with the Prometheus sink, less the same coroutine bare: the least of many samples of a thousand calls,
           since it is an absolute time, and whatever else the machine does only adds to it (as timeit has it).
list       list_all(50) against the naive way: a query for the sessions, then one per table and session.

Baseline and subject take turns, call by call, so that the machine's moods meet both alike.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid4

import psycopg
from prometheus_client import CollectorRegistry

from lift_store import HoleResolution, IRDraft, NewSession, PostgresSessionStore, Principal, PromptRevision
from lift_store.local.postgres import LocalPostgres
from lift_store.observability import observe_on
from lift_store.protocol import Backend
from lift_telemetry.observe import observed

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' databases, made as a project would make them
from benchmarks.report import Result, options, report
from tests.servers import migrated_database

BARE_GET = """
select jsonb_build_object(
  'session_id', s.session_id, 'user_id', s.user_id, 'status', s.status, 'source', s.source, 'metadata', s.metadata,
  'version', s.version, 'created_at', s.created_at, 'updated_at', s.updated_at, 'finalized_at', s.finalized_at,
  'revisions', array(
    select jsonb_build_object('timestamp', r."timestamp", 'content', r.content, 'revision_type', r.revision_type,
      'target_hole', r.target_hole, 'metadata', r.metadata)
    from lift.session_revisions r where r.user_id = s.user_id and r.session_id = s.session_id order by r.number),
  'ir_drafts', array(
    select jsonb_build_object('version', d.number, 'ir', d.ir, 'validation_status', d.validation_status,
      'smt_results', d.smt_results, 'ambiguities', d.ambiguities, 'created_at', d.created_at, 'metadata', d.metadata)
    from lift.session_drafts d where d.user_id = s.user_id and d.session_id = s.session_id order by d.number),
  'pending_resolutions', array(
    select jsonb_build_object('hole_id', h.hole_id, 'resolution_text', h.resolution_text,
      'resolution_type', h.resolution_type, 'applied', h.applied, 'timestamp', h."timestamp", 'metadata', h.metadata)
    from lift.hole_resolutions h where h.user_id = s.user_id and h.session_id = s.session_id order by h.number))
from lift.sessions s where s.user_id = %s and s.session_id = %s
"""
CHILDREN = ("session_revisions", "session_drafts", "hole_resolutions")


async def medians(rounds: int, *acts: Callable[[], Awaitable[Any]]) -> list[float]:
    """Return each one's median in microseconds."""
    return [statistics.median(taken) * 1e6 for taken in await sample(rounds, *acts)]


async def sample(rounds: int, *acts: Callable[[], Awaitable[Any]]) -> list[list[float]]:
    """Call *acts* in turn, *rounds* times after a tenth as warm-up; return each one's times in seconds."""
    times: list[list[float]] = [[] for _ in acts]
    for n in range(rounds + rounds // 10):
        for act, taken in zip(acts, times, strict=True):
            started = perf_counter()
            await act()
            if n >= rounds // 10:
                taken.append(perf_counter() - started)
    return times


async def compare_get(store: PostgresSessionStore, bare: psycopg.AsyncConnection, rounds: int) -> Result:
    """A session of a prompt, one draft of about 2 kB and an answer."""
    user = Principal(uuid4())
    sessions = store.as_user(user)
    ir = {"signature": {"name": "f"}, "effects": [{"kind": "pure", "note": "n" * 60} for _ in range(20)]}
    new = NewSession(
        revisions=(PromptRevision(content="def f(x): ..." * 20),),
        ir_drafts=(IRDraft(ir=ir, ambiguities=("x",)),),
        pending_resolutions=(HoleResolution(hole_id="x", resolution_text="an int"),),
    )
    session_id = (await sessions.create(new)).session_id

    async def baseline() -> Any:
        cursor = await bare.execute(BARE_GET.encode(), [user.user_id, session_id], prepare=True)
        return await cursor.fetchone()

    base, ours = await medians(rounds, baseline, lambda: sessions.get(session_id))
    return Result("get", base, ours, "us", ours / base, "x", "at most 1.6 x", ours / base <= 1.6)


class _Bare:
    async def get(self) -> None:
        """Do nothing."""


class _Observed:
    def __init__(self) -> None:
        self.telemetry = observe_on(CollectorRegistry(), Backend.MEMORY).telemetry

    @observed
    async def get(self) -> None:
        """Do nothing."""


async def compare_decorator(rounds: int) -> Result:
    """A thousand calls a sample, so that the clock's own cost does not count."""
    bare, decorated = _Bare(), _Observed()

    async def thousand(act: Callable[[], Awaitable[None]]) -> None:
        for _ in range(1000):
            await act()

    samples = await sample(max(50, rounds // 20), lambda: thousand(bare.get), lambda: thousand(decorated.get))
    base, ours = (min(taken) * 1e3 for taken in samples)
    return Result("decorator", base, ours, "us", ours - base, "us", "at most 5 us more", ours - base <= 5)


async def compare_list(store: PostgresSessionStore, bare: psycopg.AsyncConnection, rounds: int) -> Result:
    """Fifty sessions with two revisions, two drafts and two answers each."""
    user = Principal(uuid4())
    sessions = store.as_user(user)
    for _ in range(50):
        await sessions.create(
            NewSession(
                revisions=(PromptRevision(content="a" * 200),) * 2,
                ir_drafts=(IRDraft(ir={"a": "b" * 500}),) * 2,
                pending_resolutions=(HoleResolution(hole_id="x", resolution_text="y"),) * 2,
            )
        )

    async def naive() -> None:
        query = b"select * from lift.sessions where user_id = %s order by created_at desc limit 50"
        found = await (await bare.execute(query, [user.user_id], prepare=True)).fetchall()
        for row in found:
            for table in CHILDREN:
                query = f"select * from lift.{table} where user_id = %s and session_id = %s order by number".encode()  # noqa: S608 - our own names
                await (await bare.execute(query, [user.user_id, row[1]], prepare=True)).fetchall()

    base, ours = await medians(max(20, rounds // 20), naive, sessions.list_all)
    return Result("list of 50", base, ours, "us", base / ours, "x", "at least 10 x faster", base / ours >= 10)


async def run(rounds: int) -> list[Result]:
    """Make the comparisons on a throwaway database."""
    with LocalPostgres.temporary() as server:
        database = migrated_database(server)
        observability = observe_on(CollectorRegistry(), Backend.POSTGRES)
        async with (
            PostgresSessionStore(database.app, observability=observability) as store,
            await psycopg.AsyncConnection.connect(database.admin, autocommit=True) as bare,
        ):
            return [
                await compare_get(store, bare, rounds),
                await compare_decorator(rounds),
                await compare_list(store, bare, rounds),
            ]


def main() -> None:
    """Measure, and say how it went."""
    parser = options(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=2000, help="calls of each (default 2000)")
    chosen = parser.parse_args()
    report(asyncio.run(run(chosen.rounds)), chosen.json)


if __name__ == "__main__":
    main()
