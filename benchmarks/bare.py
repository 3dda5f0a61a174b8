"""The baseline of benchmarks/api.py: a bare FastAPI route that does the same single SQL statement, and nothing else.

No token is checked, nothing is measured, logged or validated but the path; the row goes out as the database made it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from fastapi import FastAPI, Response
from psycopg_pool import AsyncConnectionPool

STATEMENT = "select lift_private.session_get(%s::jsonb, %s, %s::jsonb)::text"
CLAIMS, CONTEXT = os.environ["BARE_CLAIMS"], "{}"
pool = AsyncConnectionPool(os.environ["DATABASE_URL"], open=False, min_size=2, max_size=10, kwargs={"autocommit": True})


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open the pool."""
    async with pool:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/api/sessions/{session_id}")
async def get(session_id: UUID) -> Response:
    """Answer with what the statement gives."""
    async with pool.connection() as connection:
        row = await (await connection.execute(STATEMENT, (CLAIMS, session_id, CONTEXT))).fetchone()
    return Response(row[0] if row else "null", media_type="application/json")
