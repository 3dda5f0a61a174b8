"""The command line: translates arguments, decides nothing."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line, or say which extra it needs."""
    try:
        from lift_store.cli.main import run
    except ModuleNotFoundError as missing:
        if str(missing.name).startswith("lift_"):
            raise  # a fault of ours, not of the installation
        sys.exit(f"lift-store: {missing.name} is not installed; run: pip install 'lift-store[cli]'")
    run()
