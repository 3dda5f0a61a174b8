"""What each recorded refusal means, written by hand: the error, whose outcome follows."""

from __future__ import annotations

from collections.abc import Iterator

from lift_store.errors import DeadlineError, DeniedError, InternalError, InvalidError, SaturatedError, StoreError, UnavailableError
from lift_store.supabase.classify import Answer
from tests.replay.recorded import Recorded, recorded
from tests.replay.server import How

BY_CODE: dict[type[StoreError], str] = {
    UnavailableError: "PGRST000 PGRST001 PGRST002 08006 08P01 40001 40P01 53100 53400 57P01 57P02 57P03 58000",
    SaturatedError: "PGRST003 53300",
    DeadlineError: "55P03 57014",
    InvalidError: "22003 22012 22023 22P02 23502 23503 23505 23514",
    # whatever else we are told, the caller cannot mend: our functions and requests are always the same
    InternalError: """
        PGRST100 PGRST101 PGRST102 PGRST103 PGRST105 PGRST106 PGRST107 PGRST116 PGRST117 PGRST121 PGRST122 PGRST124 PGRST125
        PGRST200 PGRST202 PGRST203 PGRST204 PGRST205 PGRST301 PGRST303
        PT400 PT401 PT402 PT403 PT404 PT409 PT412 PT418 PT422 PT429 PT500 PT503 PT999 PTABC 123
        0LP01 0P000 21000 25006 28000 28P01 2F000 38000 39000 3B000 42501 42703 42883 42P01 42P17 54000 54001 55000
        F0000 HV000 P0001 P0002 P0003 P0004 XX000 ZZ999
    """,
}
"""What each recorded code means, where the condition below says nothing else. None of the recorded PTnnn is of our functions."""
BY_CONDITION: dict[str, type[StoreError]] = {
    # the policy spoke, and the message says so; to anon, whom none of our requests should be, it is our fault
    "insert_with_check_violation_authenticated": DeniedError,
    "update_give_away_with_check": DeniedError,
    "insert_with_check_violation_anon": InternalError,
    # the same state as a value out of range, but the token's role is missing
    "jwt_role_unknown": InternalError,
    # the database crashed under an idle pool: not the caller's fault, whatever 400 means
    **{f"db_stop_immediate_idle_pool_{i}": UnavailableError for i in range(4)},
    # of the admin port, without a body or PostgREST's name
    "db_down_admin_ready": UnavailableError,
    "cold_start_admin_ready": UnavailableError,
    "after_restart_admin_ready": UnavailableError,
}
ONLY_IN = {"14.17": {f"backend_kill9_crash_recovery_idle_pool_{i}": UnavailableError for i in range(4)}, "16.2": {}}
OF_CODE = {code: error for error, codes in BY_CODE.items() for code in codes.split()}
EXPIRED = {"jwt_expired_1h", "jwt_expired_again_cached", "jwt_expired_rpc", "jwt_expired_head"}
"""The conditions whose token had expired."""


def expected(version: str, condition: Recorded) -> type[StoreError]:
    """Return the error that the tables above ask for."""
    return (BY_CONDITION | ONLY_IN[version]).get(condition.name) or OF_CODE[answer_of(condition).code]


def answer_of(condition: Recorded) -> Answer:
    """Read what was recorded."""
    return Answer.of(condition.reply.status, dict(condition.reply.headers), condition.reply.body)


def refusals(version: str) -> Iterator[Recorded]:
    """Every recorded answer that is no success."""
    return (one for one in recorded(version).values() if not one.is_success and one.reply.how is How.WHOLE)
