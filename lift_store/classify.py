"""What a refusal of the database means: one table from SQLSTATE and hint to our errors.

Messages of our own functions (PTnnn) are passed on; those of PostgreSQL are not, since they may quote what the user sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final

from lift_store.errors import (
    ConflictError,
    DeadlineError,
    DeniedError,
    InternalError,
    InvalidError,
    InvalidStateError,
    SaturatedError,
    StoreError,
    UnauthenticatedError,
    UnavailableError,
)

RETRY_AFTER = 1.0
"""Seconds after which trying again is worth it, as a hint to the caller."""


def _conflict(message: str, detail: str | None) -> StoreError:
    return ConflictError(message, actual_version=_actual_version(detail))


def _actual_version(detail: str | None) -> int | None:
    try:
        version = json.loads(detail or "{}")["actual_version"]
    except (ValueError, LookupError, TypeError, RecursionError):  # lost or changed on its way; the conflict stands
        return None
    return version if type(version) is int else None


BY_HINT: Final[dict[str, Callable[[str, str | None], StoreError]]] = {
    "stale_version": _conflict,
    "already_exists": _conflict,
    "closed": lambda message, _: InvalidStateError(message, field="status"),
    "unresolved_ambiguities": lambda message, _: InvalidStateError(message, field="status"),
    "operation_reused": lambda message, _: InvalidError(message, field="operation_id"),
    "invalid_cursor": lambda message, _: InvalidError(message, field="cursor"),
    "invalid_limit": lambda message, _: InvalidError(message, field="limit"),
    "nothing_to_set": lambda message, _: InvalidError(message),
    "no_identity": lambda message, _: UnauthenticatedError(message),
}
"""What the hints mean that our SQL functions raise, see migrations/008_create_operations.sql."""

BY_STATE: Final[dict[str, Callable[[str], StoreError]]] = {
    "22": lambda state: InvalidError(f"the database cannot store a value of this request (SQLSTATE {state})"),
    "23": lambda state: InvalidError(f"the request breaks a rule of the schema (SQLSTATE {state})"),
    "25006": lambda _: InternalError(
        "the database is read-only (SQLSTATE 25006); connect to the primary, and see whether its disk is full"
    ),
    "28": lambda state: InternalError(f"the database refuses our login (SQLSTATE {state})"),
    "40": lambda state: UnavailableError(f"concurrent writes collided (SQLSTATE {state})", retry_after=RETRY_AFTER),
    "0P": lambda _: unknown_role(),
    "53": lambda state: UnavailableError(f"the database lacks resources (SQLSTATE {state})", retry_after=RETRY_AFTER),
    "53300": lambda _: SaturatedError("the database has no connection left (SQLSTATE 53300)", retry_after=RETRY_AFTER),
    # our statements are always the same, and our models bound what is put into them
    "54": lambda state: InternalError(f"a limit of the database was exceeded (SQLSTATE {state})"),
    "55P03": lambda _: DeadlineError("a lock was not free in time (SQLSTATE 55P03)"),
    "57": lambda state: UnavailableError(f"the database is going down or coming up (SQLSTATE {state})", retry_after=RETRY_AFTER),
    "57014": lambda _: DeadlineError("the database gave the statement up (SQLSTATE 57014)"),
    "58": lambda state: UnavailableError(f"the database's system failed (SQLSTATE {state})", retry_after=RETRY_AFTER),
    "XX": lambda state: InternalError(f"the database has a fault of its own or damaged data (SQLSTATE {state}); see its log"),
    "08": lambda state: UnavailableError(f"the connection to the database failed (SQLSTATE {state})", retry_after=RETRY_AFTER),
    "3F": lambda state: InternalError(f"the schema is not there (SQLSTATE {state}); run: lift-store migrate up"),
    "42883": lambda _: InternalError("a function of the schema is not there (SQLSTATE 42883); run: lift-store migrate up"),
    "42P01": lambda _: InternalError("a table of the schema is not there (SQLSTATE 42P01); run: lift-store migrate up"),
}
"""What SQLSTATEs mean, else their class (the first two characters); appendix A of the PostgreSQL manual."""

_NO_ROLE = re.compile(r'role ".*" does not exist', re.DOTALL)


def unknown_role() -> StoreError:
    """Return our error for a role that the database does not have."""
    return InternalError("the database does not know the role of the token; create anon and authenticated, see docs/DATABASE.md")


def _denial(message: str) -> StoreError:
    if "row-level security" not in message:
        # our own functions and tables: whoever set the database up left a grant out
        return InternalError("the database refused a privilege (SQLSTATE 42501); check the login's grants")
    using = "(USING expression)" in message
    return DeniedError("row-level security refused the row", kind="using" if using else "with_check")


def refusal(state: str, message: str, hint: str | None = None, detail: str | None = None) -> StoreError:
    """Return our error for a refusal of the database with SQLSTATE *state*; an unknown one is InternalError."""
    if state.startswith("PT") and hint in BY_HINT:
        return BY_HINT[hint](message, detail)
    if state == "42501":
        return _denial(message)
    if state == "22023" and _NO_ROLE.fullmatch(message):
        return unknown_role()
    known = BY_STATE.get(state) or BY_STATE.get(state[:2])
    return known(state) if known else InternalError(f"the database failed with SQLSTATE {state}")


def denial_kind(state: str, error: StoreError) -> str | None:
    """Return the label `kind` of lift_store_rls_denials_total where the refusal was a denial, else None."""
    if isinstance(error, DeniedError):
        return error.kind
    return "grant" if state == "42501" else None
