"""The OpenAPI document says what the service does."""

from __future__ import annotations

from typing import Any

import httpx

from lift_store.models import IRDraft, NewSession, PromptRevision


async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("/openapi.json")).json()
    return found


def operations(found: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, operation) for path, item in found["paths"].items() for method, operation in item.items()]


async def test_every_session_route_documents_its_answers(stranger: httpx.AsyncClient) -> None:
    """Each has a success and the statuses that it can refuse with, as problems, and asks for a bearer token."""
    found = await document(stranger)
    assert found["openapi"].startswith("3.1")
    assert found["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    routes = [(m, o) for path, m, o in operations(found) if path.startswith("/api/")]
    assert len(routes) == 10
    for method, operation in routes:
        statuses = set(operation["responses"])
        assert {"401", "422", "500", "503"} <= statuses
        assert {"200", "201", "204"} & statuses
        assert operation["security"] == [{"HTTPBearer": []}]
        assert ({"413", "415", "400"} <= statuses) == ("requestBody" in operation), method
        for status, answer in operation["responses"].items():
            assert status < "400" or "application/problem+json" in answer["content"]


async def test_references_lead_somewhere(stranger: httpx.AsyncClient) -> None:
    """Every schema that is referred to is there, and the framework's own error schema is not."""
    found = await document(stranger)

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [name for value in node.values() for name in references(value)]
        return [name for value in node for name in references(value)] if isinstance(node, list) else []

    schemas = found["components"]["schemas"]
    assert {name.rsplit("/", 1)[1] for name in references(found)} <= set(schemas)
    assert "HTTPValidationError" not in schemas


async def test_examples_are_valid(stranger: httpx.AsyncClient) -> None:
    """What the document shows as a body can be sent as it is."""
    found = await document(stranger)
    bodies = {path: o["requestBody"] for path, m, o in operations(found) if m == "post" and "requestBody" in o}
    for path, model in (
        ("/api/sessions", NewSession),
        ("/api/sessions/{session_id}/revisions", PromptRevision),
        ("/api/sessions/{session_id}/drafts", IRDraft),
    ):
        model.model_validate(bodies[path]["content"]["application/json"]["examples"]["example"]["value"])
