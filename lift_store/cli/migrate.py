"""`lift-store migrate`: what a database has of the migrations, and how it gets them."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lift_store.schema import migrate

app = typer.Typer(
    no_args_is_help=True,
    help="Show, apply and take back the migrations of a database.\n\nExample: lift-store migrate up --database-url postgresql://...",
)

Dsn = Annotated[
    str,
    typer.Option(
        "--database-url",
        envvar="LIFT_STORE_MIGRATE_DATABASE_URL",
        help="Login that may create schemas and roles; not the service's.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def status(database_url: Dsn, as_json: Json = False) -> None:
    """Show each migration and whether the database has it.

    Example: lift-store migrate status --json

    Exit code 1 where any is pending or changed.
    """
    states = migrate.status(database_url)
    if as_json:
        typer.echo(json.dumps([{"version": s.version, "name": s.name, "state": s.state} for s in states], indent=2))
    else:
        table = Table("migration", "state")
        for s in states:
            table.add_row(s.name, {"applied": "[green]applied", "pending": "[yellow]pending"}.get(s.state, f"[red]{s.state}"))
        Console().print(table)
    raise typer.Exit(any(s.state != "applied" for s in states))


@app.command()
def up(
    database_url: Dsn,
    to: Annotated[int | None, typer.Option(help="Stop after this migration.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Apply what is pending; adopt a schema that psql or the Supabase CLI has set up.

    Example: lift-store migrate up --database-url postgresql://postgres@db.example/postgres

    Exit code 1 where a file was changed or fails; nothing of a failing file is kept.
    """
    _report(migrate.up(database_url, to=to), "applied", as_json=as_json)


@app.command()
def down(
    database_url: Dsn,
    to: Annotated[int, typer.Option(help="Take back everything above this migration; 0 is everything.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Take migrations back, newest first. What their tables hold is lost.

    Example: lift-store migrate down --to 8 --yes

    Exit code 1 where you say no, or a file was changed or fails.
    """
    if not yes:
        typer.confirm(f"Drop everything that migrations above {to} made, with its data?", abort=True)
    _report(migrate.down(database_url, to=to), "undone", as_json=as_json)


def _report(names: list[str], done: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({done: names}))
        return
    for name in names:
        typer.echo(f"{done} {name}")
    if not names:
        typer.echo(f"Nothing to do: nothing was {done}.")
