"""`lift-store serve` and `lift-store token`."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated
from uuid import UUID, uuid4

import typer

from lift_store.cli.options import DataDir, jwt_secret, parse_duration


def serve() -> None:
    """Run the service as the environment configures it: the API and the operator port.

    Example: DATABASE_URL=postgresql://... SUPABASE_JWT_SECRET=... lift-store serve

    Exit code 0 after SIGTERM or Ctrl-C; 1 with one line that names the variable where the configuration is wrong.
    """
    from lift_store.api.serve import run
    from lift_store.settings import Settings

    asyncio.run(run(Settings.load()))


def token(
    user: Annotated[UUID | None, typer.Option(help="The user's id; a new one where left out.", show_default=False)] = None,
    ttl: Annotated[str, typer.Option(help="How long it is valid: a number with s, m, h or d.")] = "12h",
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the user's id too, as JSON.")] = False,
) -> None:
    """Print a development token, signed with SUPABASE_JWT_SECRET or with the secret of `up`.

    Example: curl -H "Authorization: Bearer $(lift-store token)" http://127.0.0.1:8000/api/sessions

    Exit code 1 where there is no secret to sign with.
    """
    from lift_store.local.token import mint

    user_id = user or uuid4()
    minted = mint(jwt_secret(data_dir), user_id, lifetime=parse_duration(ttl))
    typer.echo(json.dumps({"user_id": str(user_id), "token": minted}) if as_json else minted)
