"""The commands, and how they end: code 0 on success only, and one line on standard error for what a user can mend."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from lift_store.cli import doctor, load, migrate, service, up
from lift_store.errors import StoreError
from lift_store.local.process import LocalError
from lift_store.schema.migrate import MigrationError
from lift_store.settings import SettingsError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="An instrumented session store for AI prompt refinement.\n\nExample: lift-store up",
)
app.command()(up.up)
app.command()(service.serve)
app.command()(service.token)
app.command()(doctor.doctor)
app.command()(load.loadgen)
app.add_typer(migrate.app, name="migrate")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("lift-store"))
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)] = False,
) -> None:
    pass


def run() -> None:
    """Run the command line."""
    try:
        app()
    except (SettingsError, LocalError, MigrationError, StoreError) as error:
        typer.echo(f"lift-store: {error}", err=True)
        sys.exit(1)
