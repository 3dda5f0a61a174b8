"""The routes of sessions. Paths stand in full: a route included with a prefix no longer knows its own template."""

from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from lift_store.api.bodies import AnswerBody, DraftBody, NewSessionBody, PatchBody, RevisionBody
from lift_store.api.documents import CONDITIONAL, NOT_MODIFIED, answer, problems
from lift_store.api.guard import GuardedRoute, caller
from lift_store.api.headers import ExpectedVersion, OperationId, etag, is_current
from lift_store.api.output import to_json
from lift_store.api.problems import INVALID, refuse
from lift_store.api.service import service_of
from lift_store.checks import parse_cursor
from lift_store.errors import InvalidError, NotFoundError
from lift_store.models import MAX_LIMIT, Model, Name, Page, PromptSession, SessionStatus, SessionSummary

SESSIONS: Final = "/api/sessions"
SESSION: Final = SESSIONS + "/{session_id}"
_CACHING: Final = {"Cache-Control": "private, no-cache"}
_BODY: Final = (400, 413, 415)
_MAX_CURSOR: Final = 200

router = APIRouter(route_class=GuardedRoute, tags=["sessions"])

HoleId = Annotated[Name, Path(description="The hole, as the draft names it.")]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Sessions on a page.")]


def _made_by_a_list(cursor: str | None) -> str | None:
    # before the store, so that all stores refuse alike, and with the value
    if cursor is not None:
        try:
            parse_cursor(cursor)
        except InvalidError:
            raise PydanticCustomError("cursor", "was not made by this list") from None
    return cursor


Cursor = Annotated[
    str | None,
    Query(max_length=_MAX_CURSOR, description="`next_cursor` of the page before, unchanged."),
    AfterValidator(_made_by_a_list),
]


@router.post(SESSIONS, status_code=201, responses=answer(SessionSummary, status=201) | problems(*_BODY, 403, 409))
async def create_session(request: Request, new: NewSessionBody, operation_id: OperationId) -> Response:
    """Store a new session; repeat with the same Idempotency-Key and it is stored once."""
    summary = await service_of(request).store.as_user(caller(request)).create(new, operation_id=operation_id)
    location = f"{request.scope.get('root_path', '')}{SESSIONS}/{summary.session_id}"
    return _tagged(summary, HTTPStatus.CREATED, {"Location": location})


@router.get(SESSIONS, responses=answer(Page[SessionSummary], tagged=False) | problems())
async def list_sessions(request: Request, status: SessionStatus | None = None, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """List the caller's sessions, newest first."""
    sessions = service_of(request).store.as_user(caller(request))
    if status is SessionStatus.ACTIVE:
        return _json(await sessions.list_active(limit, cursor))
    return _json(await sessions.list_all(status, limit, cursor))


@router.get(SESSION, responses=answer(PromptSession) | NOT_MODIFIED | problems(404), openapi_extra=CONDITIONAL)
async def get_session(request: Request, session_id: UUID) -> Response:
    """Return a session with all its history."""
    session = await service_of(request).store.as_user(caller(request)).get(session_id)
    if session is None:
        raise NotFoundError("no such session")
    if is_current(request, session.version):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=_CACHING | {"ETag": etag(session.version)})
    return _tagged(session)


@router.patch(SESSION, responses=answer(SessionSummary) | problems(*_BODY, 403, 404, 409, 412, 428))
async def update_session(
    request: Request,
    session_id: UUID,
    version: ExpectedVersion,
    patch: PatchBody,
    operation_id: OperationId,
) -> Response:
    """Set the status, or replace the metadata, or both, if the session is still at the version of If-Match."""
    sessions = service_of(request).store.as_user(caller(request))
    return _tagged(
        await sessions.update(session_id, version=version, status=patch.status, metadata=patch.metadata, operation_id=operation_id)
    )


@router.delete(SESSION, status_code=204, responses=problems(400, 403, 404))
async def delete_session(request: Request, session_id: UUID, operation_id: OperationId) -> Response:
    """Delete a session and its history."""
    if not await service_of(request).store.as_user(caller(request)).delete(session_id, operation_id=operation_id):
        raise NotFoundError("no such session")
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.post(SESSION + "/revisions", responses=answer(SessionSummary) | problems(*_BODY, 403, 404, 409))
async def add_revision(request: Request, session_id: UUID, revision: RevisionBody, operation_id: OperationId) -> Response:
    """Append a wording of the prompt; concurrent calls all succeed."""
    sessions = service_of(request).store.as_user(caller(request))
    return _tagged(await sessions.add_revision(session_id, revision, operation_id=operation_id))


@router.post(SESSION + "/drafts", responses=answer(SessionSummary) | problems(*_BODY, 403, 404, 409))
async def add_draft(request: Request, session_id: UUID, draft: DraftBody, operation_id: OperationId) -> Response:
    """Append a draft, which the store numbers; concurrent calls all succeed."""
    manager = service_of(request).manager
    return _tagged(await manager.add_draft(caller(request), session_id, draft, operation_id=operation_id))


# `:path`, because a hole's id may hold a slash
@router.post(SESSION + "/holes/{hole_id:path}/resolve", responses=answer(SessionSummary) | problems(*_BODY, 403, 404, 409))
async def resolve_hole(request: Request, session_id: UUID, hole_id: HoleId, answered: AnswerBody, operation_id: OperationId) -> Response:
    """Answer a hole of the current draft."""
    if answered.hole_id not in (None, hole_id):
        raise refuse(INVALID, "body.hole_id", "is not the hole that the path names")
    manager = service_of(request).manager
    return _tagged(await manager.resolve_hole(caller(request), session_id, answered.to(hole_id), operation_id=operation_id))


@router.post(SESSION + "/finalize", responses=answer(SessionSummary) | problems(400, 403, 404, 409, 412, 428))
async def finalize_session(request: Request, session_id: UUID, version: ExpectedVersion, operation_id: OperationId) -> Response:
    """Close a session as done, if no ambiguity is left and it is still at the version of If-Match."""
    manager = service_of(request).manager
    return _tagged(await manager.finalize(caller(request), session_id, version, operation_id=operation_id))


@router.post(SESSION + "/abandon", responses=answer(SessionSummary) | problems(400, 403, 404, 409, 412, 428))
async def abandon_session(request: Request, session_id: UUID, version: ExpectedVersion, operation_id: OperationId) -> Response:
    """Close a session as given up, if it is still at the version of If-Match."""
    manager = service_of(request).manager
    return _tagged(await manager.abandon(caller(request), session_id, version, operation_id=operation_id))


def _tagged(session: SessionSummary | PromptSession, status: int = HTTPStatus.OK, headers: dict[str, str] | None = None) -> Response:
    return _json(session, status, {"ETag": etag(session.version), **(headers or {})})


def _json(model: Model, status: int = HTTPStatus.OK, headers: dict[str, Any] | None = None) -> Response:
    # bytes of a model that the store has validated; FastAPI would validate and convert it once more
    return Response(to_json(model), status, _CACHING | (headers or {}), "application/json")
