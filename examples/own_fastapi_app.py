"""The store in a FastAPI application of one's own. Run: uvicorn --app-dir examples own_fastapi_app:app."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import make_asgi_app
from pydantic import SecretStr

from lift_store import NewSession, PostgresSessionStore, Principal, SessionSummary
from lift_store.api.auth import SYMMETRIC, RejectedError, SharedSecret, Verifier

store = PostgresSessionStore(os.environ["DATABASE_URL"])
verifier = Verifier(SharedSecret(SecretStr(os.environ["SUPABASE_JWT_SECRET"])), algorithms=SYMMETRIC, audience="authenticated")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with store:
        yield


async def caller(sent: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> Principal:
    try:
        return await verifier.verify(sent.credentials)
    except RejectedError as error:
        raise HTTPException(401, str(error), {"WWW-Authenticate": "Bearer"}) from None


app = FastAPI(lifespan=lifespan)
app.mount("/metrics", make_asgi_app())  # what it counts is everybody's: let operators alone reach it


@app.post("/refinements", status_code=201)
async def begin(user: Annotated[Principal, Depends(caller)], new: NewSession) -> SessionSummary:
    return await store.as_user(user).create(new)
