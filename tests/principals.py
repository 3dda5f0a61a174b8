"""Verified callers for tests, with the token that each would have come with."""

from __future__ import annotations

import os
from datetime import timedelta
from uuid import UUID, uuid4

import jwt

from lift_store import Principal
from lift_store.local.token import mint

SECRET = os.environ.get("LIFT_STORE_TEST_SUPABASE_JWT_SECRET", "of-a-throwaway-project-on-loopback-only")
"""What tokens are signed with: the secret of the project that the environment names, or of our own."""


def somebody(user_id: UUID | None = None, *, lifetime: timedelta = timedelta(hours=1)) -> Principal:
    """Return *user_id*, or a new user, as the API would after checking the token."""
    user = user_id or uuid4()
    token = mint(SECRET, user, lifetime=lifetime)
    return Principal(user, claims=jwt.decode(token, options={"verify_signature": False}), token=token)
