"""What several commands take: durations, the data directory, the secret of development tokens."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_URL = "http://127.0.0.1:8000"
"""Where `up` and `serve` answer unless told otherwise."""
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(text: str) -> timedelta:
    """Return the time that *text* names, such as 30s, 5m, 12h or 7d."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd])", text)
    if not match or not float(match[1]):
        raise typer.BadParameter(f"{text!r} is no duration; it takes a number above 0 with s, m, h or d, such as 30s")
    return timedelta(**{_UNITS[match[2]]: float(match[1])})


DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Where `up` keeps its data. Default: the user's data directory; as root, /var/lib/lift-store.",
        show_default=False,
    ),
]


def jwt_secret(data_dir: Path | None) -> str:
    """Return SUPABASE_JWT_SECRET, or the secret that `up` made in its data directory."""
    from lift_store.local.process import LocalError
    from lift_store.local.stack import default_data_dir, secret_file

    file = secret_file(data_dir or default_data_dir())
    if data_dir is None and os.environ.get("SUPABASE_JWT_SECRET"):
        return os.environ["SUPABASE_JWT_SECRET"]
    try:
        return file.read_text("utf-8").strip()
    except OSError:
        raise LocalError(
            f"no secret to sign with: SUPABASE_JWT_SECRET is not set, and {file} cannot be read; start `lift-store up` first, "
            "or name its folder with --data-dir"
        ) from None
