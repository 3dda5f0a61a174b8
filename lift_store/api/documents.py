"""What the OpenAPI document says of answers: every status that a route can give."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

from lift_store.api.problems import MEDIA_TYPE

if TYPE_CHECKING:
    from fastapi import FastAPI

Responses = dict[int | str, dict[str, Any]]

_REFERENCE: Final = {"$ref": "#/components/schemas/Problem"}
_ALWAYS: Final = (401, 422, 500, 503)
_ETAG: Final = {"ETag": {"description": "The session's version.", "schema": {"type": "string"}, "example": '"3"'}}
_LOCATION: Final = {"Location": {"description": "The new session.", "schema": {"type": "string"}}}
_BEARER: Final = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A token of the Supabase project."}
SECURED: Final[dict[str, Any]] = {"security": [{"HTTPBearer": []}]}
"""What the document says of a route for verified callers."""
CONDITIONAL: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "if-none-match",
            "in": "header",
            "required": False,
            "schema": {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "If-None-Match"},
        }
    ]
}
"""What the document says of a route that compares ETags."""
NOT_MODIFIED: Final[Responses] = {304: {"description": "Not Modified"}}


class FieldError(BaseModel):
    """One value that cannot be right."""

    field: str = Field(examples=["body.revisions.0.content"])
    type: str = Field(description="What is wrong with it: a problem's type.", examples=["urn:lift-store:problem:wrong-length"])
    message: str
    limit: str | int | None = Field(None, description="The limit that it breaks, or the values that there are.")
    value: str | int | float | bool | None = Field(None, description="What was sent, if it is short; never a text or a document.")


class Problem(BaseModel):
    """An RFC 9457 problem. `type` is stable; other members may come."""

    type: str = Field(examples=["urn:lift-store:problem:stale-version"])
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None
    actual_version: int | None = Field(None, description="The version that the session has now.")


def problems(*statuses: int) -> Responses:
    """Document *statuses*, and those that every route of the API can answer, as problems."""
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": _REFERENCE}}}
        for status in sorted({*_ALWAYS, *statuses})
    }


def answer(model: Any, *, status: int = 200, tagged: bool = True) -> Responses:
    """Document the answer of success."""
    headers = {**(_ETAG if tagged else {}), **(_LOCATION if status == HTTPStatus.CREATED else {})}
    return {status: {"model": model, "description": HTTPStatus(status).phrase, "headers": headers}}


def document(app: FastAPI) -> None:
    """Give *app* an OpenAPI document whose problems have their schema."""

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            found = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            components = schema.setdefault("components", {})
            components.setdefault("schemas", {}).update(found.pop("$defs"), Problem=found)
            components["securitySchemes"] = {"HTTPBearer": _BEARER}
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way
