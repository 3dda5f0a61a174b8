"""Answers are the models' own JSON, byte for byte, whatever documents they hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lift_store.api.output import to_json
from lift_store.models import HoleResolution, IRDraft, Page, PromptRevision, PromptSession, SessionSource, SessionStatus, SessionSummary
from tests.contract.test_any_order import json_objects, unicode

MOMENTS = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]))


def session(at: datetime, text: str, document: dict[str, Any]) -> PromptSession:
    return PromptSession(
        session_id=uuid4(),
        user_id=uuid4(),
        status=SessionStatus.PAUSED,
        source=SessionSource.PROMPT,
        metadata=document,
        version=3,
        created_at=at,
        updated_at=at,
        finalized_at=None,
        revisions=(PromptRevision(timestamp=at, content=text or "a", metadata=document),),
        ir_drafts=(IRDraft(version=1, ir=document, smt_results=(document,), ambiguities=("x",), created_at=at),) * 2,
        pending_resolutions=(HoleResolution(hole_id="x", resolution_text="y", timestamp=at),),
    )


@given(MOMENTS, unicode, json_objects(63))
def test_a_session_is_written_as_its_model_writes_it(at: datetime, text: str, document: dict[str, Any]) -> None:
    """Times, texts and documents, the newest draft a second time."""
    made = session(at, text, document)
    assert made.model_dump_json().encode() == to_json(made)


def test_a_page_is_written_as_its_model_writes_it() -> None:
    """Models within a generic one."""
    at = datetime.now(UTC)
    whole = session(at, "a", {"ü": [1.5, None]}).model_dump(exclude={"revisions", "ir_drafts", "current_draft", "pending_resolutions"})
    summary = SessionSummary(**whole, revision_count=1, draft_count=2, resolution_count=1)
    page = Page[SessionSummary](items=(summary, summary), next_cursor="x")
    assert page.model_dump_json().encode() == to_json(page)


@pytest.mark.parametrize("document", [{"n": 2**64}, {"n": -(10**400)}], ids=["65", "400"])
def test_what_only_direct_sql_can_store_is_written_too(document: dict[str, Any]) -> None:
    """Integers beyond 64 bits, which no request may hold: their owners can still read them."""
    made = session(datetime.now(UTC), "a", {}).model_copy(update={"metadata": document})
    assert json.loads(to_json(made))["metadata"] == document
