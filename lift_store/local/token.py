"""Development tokens: signed with a secret that is ours, for users that nobody has to register."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt

from lift_store.principal import AUTHENTICATED

DEFAULT_LIFETIME = timedelta(hours=12)


def mint(secret: str, user_id: UUID, *, lifetime: timedelta = DEFAULT_LIFETIME, audience: str = AUTHENTICATED) -> str:
    """Return an HS256 JWT of *user_id* with the claims that Supabase's tokens have and ours need."""
    now = datetime.now(UTC)
    claims = {"sub": str(user_id), "role": AUTHENTICATED, "aud": audience, "iat": now, "exp": now + lifetime}
    return jwt.encode(claims, secret, algorithm="HS256")
