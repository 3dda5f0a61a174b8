"""What every store asks of a request, and what it tells of one that it refuses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lift_store import HoleResolution, InvalidError, IRDraft, NewSession, Principal, PromptRevision, SessionStatus, UnauthenticatedError
from lift_store.checks import (
    Rule,
    UnstorableError,
    format_cursor,
    parse_cursor,
    require_change,
    require_limit,
    require_storable,
    require_user,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(-1e16, 1e16, exclude_min=True, exclude_max=True)
    | st.text("aé\n", max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text("abc", max_size=5), JSON, max_size=5))
def test_any_json_object_within_the_limits_can_be_stored(document: dict[str, Any]) -> None:
    """As an IR, as metadata, as a solver's result."""
    require_storable(IRDraft(ir=document, metadata=document, smt_results=(document,)))


def nested(depth: int) -> dict[str, Any]:
    """Return an object with *depth* levels."""
    document: dict[str, Any] = {}
    for _ in range(depth - 1):
        document = {"a": document}
    return document


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (2**63, "beyond 64 bits"),
        (-(2**63) - 1, "beyond 64 bits"),
        (float("nan"), "NaN or an infinity"),
        (float("-inf"), "NaN or an infinity"),
        (1e16, r"number 1e\+16; from 1e\+16 on, send an integer or a string"),
        (-1.0088501742976894e17, "-1.0088501742976894e"),
        ("a\x00", r"U\+0000"),
        ("\ud800", r"U\+D800"),
        ({1: "a"}, "a key of type int"),
        ({"\x00": 1}, r"U\+0000"),
        (uuid4(), "a UUID, which is no JSON value"),
        (nested(69), "is nested 70 deep; the limit is 64 levels"),
        pytest.param(10**5000, "an integer beyond 64 bits, of 16610 bits", id="5001 digits"),
        ("x" * 1_048_576, "the limit is 1048576"),
    ],
)
def test_what_json_or_the_database_cannot_hold_is_named(value: object, complaint: str) -> None:
    """With its field, and without its content."""
    with pytest.raises(InvalidError, match=complaint) as caught:
        require_storable(IRDraft.model_construct(ir={"deep": value}, smt_results=(), metadata={}, version=None))
    assert caught.value.field == "ir"
    assert "xxx" not in str(caught.value)


def test_the_deepest_document_that_is_allowed() -> None:
    """64 levels are."""
    require_storable(IRDraft(ir=nested(64)))


@pytest.mark.parametrize("text", ["", "a\x00b", "x" * 100_001])
def test_text_has_its_limits(text: str) -> None:
    """Empty, too long, or with a NUL, it makes no revision and no answer; and a report does not show it."""
    for make in (lambda: PromptRevision(content=text), lambda: HoleResolution(hole_id="h", resolution_text=text)):
        with pytest.raises(ValidationError) as caught:
            make()
        assert "xxx" not in str(caught.value)
        assert ("\0" in text) == ("has NUL at character 2" in str(caught.value))


def test_a_child_is_named_by_its_place() -> None:
    """In a new session, so that one of a thousand is found; alone it has none."""
    draft = IRDraft(ir={"a": 2**63})
    new = NewSession(revisions=(PromptRevision(content="a"),), ir_drafts=(IRDraft(ir={}), draft))
    for models, field in (((new, *new.revisions, *new.ir_drafts), "ir_drafts.1.ir"), ((draft,), "ir")):
        with pytest.raises(UnstorableError, match=f"{field} holds") as caught:
            require_storable(*models)
        assert (field, Rule.NUMBER) == (caught.value.field, caught.value.rule)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_moment_is_within_the_years_of_utc(text: str) -> None:
    """The database would give it back as a year that no datetime has."""
    moment = datetime.fromisoformat(text)
    for model, field in ((PromptRevision(content="a", timestamp=moment), "timestamp"), (IRDraft(ir={}, created_at=moment), "created_at")):
        with pytest.raises(UnstorableError, match="outside the years 1 to 9999") as caught:
            require_storable(model)
        assert (field, Rule.MOMENT) == (caught.value.field, caught.value.rule)


def test_models_are_frozen_and_closed() -> None:
    """An unknown field is an error, and nothing can be set."""
    with pytest.raises(ValidationError):
        NewSession.model_validate({"user_id": str(uuid4())})
    with pytest.raises(ValidationError):
        PromptRevision(content="a").content = "b"  # type: ignore[misc]  # which is what must fail


@given(st.datetimes(datetime(1970, 1, 1), datetime(5000, 1, 1)), st.uuids())  # noqa: DTZ001 - made aware below
def test_a_cursor_names_its_place_exactly(moment: datetime, session_id: Any) -> None:
    """To the microsecond."""
    place = moment.replace(tzinfo=UTC), session_id
    assert parse_cursor(format_cursor(*place)) == place


@pytest.mark.parametrize("place", ["", "1", "-1.{}", "1.{}x", "\u0661.{}", "9" * 18 + ".{}", "1.{}\n"])
def test_what_is_no_cursor_is_refused(place: str) -> None:
    """In one way."""
    with pytest.raises(InvalidError, match="not made by this list"):
        parse_cursor(place.format(uuid4()))


def test_the_other_checks() -> None:
    """Role, limit, and an update of nothing."""
    require_user(Principal(uuid4()))
    with pytest.raises(UnauthenticatedError):
        require_user(Principal(uuid4(), role="anon"))
    require_limit(1)
    require_limit(200)
    with pytest.raises(InvalidError):
        require_limit(0)
    assert require_change(SessionStatus.PAUSED, None) is None
    assert require_change(None, {"a": 1}) == {"a": 1}
    with pytest.raises(InvalidError):
        require_change(None, None)


def test_a_principal_shows_neither_claims_nor_token() -> None:
    """And its claims say who it is, whatever it was given."""
    principal = Principal(uuid4(), claims={"sub": "somebody else", "email": "a@b"}, token="t0k3n")  # noqa: S106 - for the test
    assert "t0k3n" not in repr(principal)
    assert "a@b" not in repr(principal)
    assert f'"sub": "{principal.user_id}"' in principal.claims_json
