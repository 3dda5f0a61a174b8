"""What a refusal of the database means, and that nothing of a user's gets into our words."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider

from lift_store import (
    ConflictError,
    DeadlineError,
    DeniedError,
    InternalError,
    InvalidError,
    InvalidStateError,
    SaturatedError,
    UnauthenticatedError,
    UnavailableError,
)
from lift_store.classify import denial_kind, refusal
from lift_store.context import operation_context, request_id
from lift_store.errors import FAILURES, Outcome, StoreError, outcome_of


@pytest.mark.parametrize(
    ("state", "error", "outcome"),
    [
        ("22P02", InvalidError, "invalid"),
        ("23514", InvalidError, "invalid"),
        ("40001", UnavailableError, "unavailable"),
        ("40P01", UnavailableError, "unavailable"),
        ("53300", SaturatedError, "saturated"),
        ("53100", UnavailableError, "unavailable"),
        ("55P03", DeadlineError, "timeout"),
        ("57014", DeadlineError, "timeout"),
        ("57P01", UnavailableError, "unavailable"),
        ("08006", UnavailableError, "unavailable"),
        ("58030", UnavailableError, "unavailable"),
        ("22023", InvalidError, "invalid"),
        ("23505", InvalidError, "invalid"),
        ("25006", InternalError, "internal"),
        ("28P01", InternalError, "internal"),
        ("3F000", InternalError, "internal"),
        ("42883", InternalError, "internal"),
        ("42P01", InternalError, "internal"),
        ("54001", InternalError, "internal"),
        ("57P02", UnavailableError, "unavailable"),
        ("57P03", UnavailableError, "unavailable"),
        ("P0001", InternalError, "internal"),
        ("XX000", InternalError, "internal"),
        ("PT418", InternalError, "internal"),
    ],
)
def test_each_state_has_its_error(state: str, error: type[StoreError], outcome: str) -> None:
    """And the state is in the message, but for those of our own functions; the database's own text is not."""
    refused = refusal(state, 'invalid input syntax: "secret"')
    assert (type(refused), refused.outcome) == (error, outcome)
    assert state in str(refused)
    assert "secret" not in str(refused)


@pytest.mark.parametrize(
    ("hint", "error"),
    [
        ("stale_version", ConflictError),
        ("already_exists", ConflictError),
        ("closed", InvalidStateError),
        ("unresolved_ambiguities", InvalidStateError),
        ("operation_reused", InvalidError),
        ("invalid_cursor", InvalidError),
        ("invalid_limit", InvalidError),
        ("nothing_to_set", InvalidError),
        ("no_identity", UnauthenticatedError),
    ],
)
def test_our_own_refusals_keep_their_words(hint: str, error: type[StoreError]) -> None:
    """They are written for the caller."""
    refused = refusal("PT409", "in our words", hint, '{"actual_version": 7}')
    assert (type(refused), str(refused)) == (error, "in our words")
    if isinstance(refused, ConflictError):
        assert refused.actual_version == 7


@pytest.mark.parametrize(
    "detail", [None, "", "lost", "[]", "7", '{"other": 7}', '{"actual_version": "7"}', '{"actual_version": true}', "[" * 9999]
)
def test_a_conflict_stands_without_its_detail(detail: str | None) -> None:
    """Only the version that it would have named is missing."""
    refused = refusal("PT409", "in our words", "stale_version", detail)
    assert isinstance(refused, ConflictError)
    assert refused.actual_version is None


@pytest.mark.parametrize(("state", "message"), [("22023", 'role "secret" does not exist'), ("0P000", "secret")])
def test_a_role_that_is_not_there_is_our_own_fault(state: str, message: str) -> None:
    """It has the state of a value out of range; the caller did not choose it."""
    refused = refusal(state, message)
    assert (type(refused), "secret" in str(refused)) == (InternalError, False)


@pytest.mark.parametrize(
    ("message", "error", "kind"),
    [
        ('new row violates row-level security policy for table "sessions"', DeniedError, "with_check"),
        ('new row violates row-level security policy (USING expression) for table "sessions"', DeniedError, "using"),
        ("permission denied for function session_get", InternalError, "grant"),
    ],
)
def test_denials_are_told_apart_and_a_missing_grant_is_our_own_fault(message: str, error: type[StoreError], kind: str) -> None:
    """By PostgreSQL's own words, which the logins' lc_messages must leave in English."""
    refused = refusal("42501", message)
    assert (type(refused), denial_kind("42501", refused)) == (error, kind)
    assert denial_kind("22P02", refusal("22P02", "")) is None


def test_only_what_is_not_the_callers_doing_is_a_failure() -> None:
    """The outcomes after the bar of the contract; what no store should raise counts as internal."""
    assert {outcome for outcome in Outcome if outcome.is_failure} == FAILURES == {"timeout", "unavailable", "saturated", "internal"}
    assert outcome_of(KeyError()) is Outcome.INTERNAL


def test_the_database_is_told_the_trace_and_the_request() -> None:
    """As W3C traceparent, where there is one; nothing at all where there is nothing to tell."""
    assert operation_context() is None
    token = request_id.set("r-1")
    try:
        with TracerProvider().get_tracer("test").start_as_current_span("request") as span:
            context = span.get_span_context()
            traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
            assert operation_context() == {"traceparent": traceparent, "request_id": "r-1"}
        assert operation_context() == {"request_id": "r-1"}
    finally:
        request_id.reset(token)
