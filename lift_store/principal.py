"""Who calls: an identity that somebody has already verified."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

AUTHENTICATED = "authenticated"
"""The only role that may use a store; PostgreSQL's policies are written TO it."""


@dataclass(frozen=True)
class Principal:
    """A verified caller: the API makes one from a JWT, tests and jobs make their own.

    *claims* are what the row-level security policies see; None stands for the least that they need, `sub` and `role`.
    *token* is the JWT itself, needed by the Supabase backend only. Neither is ever shown by `repr`.
    """

    user_id: UUID
    role: str = AUTHENTICATED
    claims: Mapping[str, Any] | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    @cached_property
    def claims_json(self) -> str:
        """The claims as JSON text; `sub` and `role` are this principal's own, whatever *claims* says."""
        return json.dumps({**(self.claims or {}), "sub": str(self.user_id), "role": self.role})
