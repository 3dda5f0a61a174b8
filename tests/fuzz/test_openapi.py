"""Requests that schemathesis makes of the served OpenAPI document, sent to a real service on PostgreSQL: no 5xx, nothing undocumented."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.result import Ok
from schemathesis.generation.meta import TestPhase

from lift_store.models import NO_NUL
from tests.servers import Database
from tests.service import ready, service
from tests.unit.api.tokens import token

USER: Final = UUID("0b7b6c1e-9a55-4c83-8f0e-5f2a4f0a8a11")
LEFT_OUT: Final = {
    # a valid value may still be refused: a cursor of no list, a key used before, a stale version, a document too deep
    "positive_data_acceptance",
    # for runs that follow links from one answer to the next request
    "ensure_resource_availability",
    "use_after_free",
    # takes the credentials of a second user; tests/security/api/test_isolation.py has them
    "object_level_authorization",
}
CHECKED: Final = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
}


class Caller:
    """A signed-in user with some sessions, at which a share of the requests is aimed, so that they come to more than 404."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: Counter[int] = Counter()
        self.headers = {"Authorization": f"Bearer {token(USER, exp=int(time.time()) + 86_400)}"}
        self._http = requests.Session()
        self._tags: dict[str, str] = {}
        load_all_checks()
        assert {check.__name__ for check in CHECKS.get_all()} == CHECKED | LEFT_OUT
        self._checks: list[Any] = [check for check in CHECKS.get_all() if check.__name__ in CHECKED]

    def send(self, case: Case[Any]) -> None:
        """Send *case*, aimed or as it is, and let schemathesis judge the answer."""
        assert case.meta
        skipped = set()
        if case.meta.generation.mode.is_positive and self._aim(case, self.answers.total()):
            skipped.add("negative_data_rejection")  # takes a percent sign of the other parameters for what was meant
        planned = case.meta.phase.name is TestPhase.COVERAGE
        if not planned:
            skipped.add("ignored_auth")  # sends each request three times; for the planned ones it does
        # the schema's own header is in all others already, except where its absence is what is tried
        answer = case.call(session=self._http, headers=self.headers if planned else None)
        self.answers[answer.status_code] += 1
        self._learn(case, answer.status_code, answer.headers)
        checks = [check for check in self._checks if check.__name__ not in skipped]
        case.validate_response(answer, checks=checks, headers=self.headers, transport_kwargs={"session": self._http})

    def _aim(self, case: Case[Any], number: int) -> bool:
        if number % 4 == 0:
            return False
        case.headers.pop("idempotency-key", None)  # schemathesis likes the document's example, which works once
        if number % 4 == 1 or not self._takes_session(case):
            return True
        while len(self._tags) < 8:
            self._begin()
        session = list(self._tags)[number // 4 % len(self._tags)]
        case.path_parameters["session_id"] = session
        if number % 4 == 2 and "if-match" in {header.name for header in case.operation.headers}:
            case.headers["if-match"] = self._tags[session]
        return True

    @staticmethod
    def _takes_session(case: Case[Any]) -> bool:
        return "session_id" in {parameter.name for parameter in case.operation.path_parameters}

    def _begin(self) -> None:
        draft: dict[str, Any] = {"ir": {}, "ambiguities": ["open"] if len(self._tags) % 2 else []}
        answer = self._http.post(f"{self.url}/api/sessions", json={"ir_drafts": [draft]}, headers=self.headers, timeout=10)
        answer.raise_for_status()
        self._tags[answer.json()["session_id"]] = answer.headers["ETag"]

    def _learn(self, case: Case[Any], status: int, headers: dict[str, list[str]]) -> None:
        session = str(case.path_parameters.get("session_id"))
        if session not in self._tags:
            return
        tag = headers["etag"][0] if "etag" in headers else self._tags[session]
        self._tags[session] = tag
        if status == 204 or int(tag.strip('"')) > 20:  # a long history makes each GET slow, and finds nothing more
            del self._tags[session]


def without_nul_pattern(node: Any) -> Any:
    """Return the document without the pattern that keeps NUL out of texts: to negate it with its lengths takes seconds each time."""
    if isinstance(node, dict):
        return {name: without_nul_pattern(item) for name, item in node.items() if (name, item) != ("pattern", NO_NUL)}
    return [without_nul_pattern(item) for item in node] if isinstance(node, list) else node


@pytest.fixture
async def caller(tmp_path: Path, database: Database) -> AsyncIterator[Caller]:
    """Run the service as a process of its own."""
    async with service(tmp_path, LIFT_STORE_BACKEND="postgres", DATABASE_URL=database.app) as running:
        await ready(running)
        yield Caller(str(running.api.base_url))


def send_all(caller: Caller, examples: int) -> None:
    """Send, for each operation, what schemathesis thinks of systematically, and *examples* more at random from a fixed seed."""
    document = requests.get(f"{caller.url}/openapi.json", timeout=10).json()
    schema = schemathesis.openapi.from_dict(without_nul_pattern(document))
    schema.config.update(base_url=caller.url, headers=caller.headers)
    rejection = schema.config.checks.negative_data_rejection
    rejection.expected_statuses = [*rejection.expected_statuses, "413"]
    generation = schema.config.generation
    generation.update(allow_x00=False)  # test_bad_input.py has NUL in every place
    fixed = settings(max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        for case in schema.iter_coverage_cases(operation, generation_modes=list(GenerationMode), generation_config=generation):
            caller.send(case)
        cases = operation.as_strategy(GenerationMode.POSITIVE)
        if list(operation.iter_parameters()):
            cases |= operation.as_strategy(GenerationMode.NEGATIVE)
        fixed(given(cases)(caller.send))()


def check(caller: Caller, least: int) -> None:
    print(dict(caller.answers))  # noqa: T201 - pytest shows it where the test fails
    assert caller.answers.total() >= least
    assert {200, 201, 204, 400, 401, 404, 405, 409, 412, 415, 422, 428} <= set(caller.answers)
    assert max(caller.answers) < 500
    assert caller.answers[200] > least / 20


@pytest.mark.timeout(400)
def test_the_service_does_as_its_document_says(caller: Caller) -> None:
    """Five thousand requests, valid and invalid; every answer has a documented status, type, headers and schema."""
    send_all(caller, examples=430)
    check(caller, least=5_000)


@pytest.mark.long
@pytest.mark.timeout(5_400)
def test_the_service_does_as_its_document_says_at_length(caller: Caller) -> None:
    """Fifty thousand."""
    send_all(caller, examples=5_000)
    check(caller, least=50_000)
