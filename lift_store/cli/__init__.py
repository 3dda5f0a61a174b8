"""The command line: translates arguments, decides nothing."""

from lift_store.cli.main import main

__all__ = ["main"]
