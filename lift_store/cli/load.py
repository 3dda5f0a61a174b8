"""`lift-store loadgen`: realistic work, and how the service took it."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from lift_store.cli.loadgen import LoadReport, run
from lift_store.cli.options import DEFAULT_URL, DataDir, jwt_secret, parse_duration
from lift_store.local.token import mint


def loadgen(
    url: Annotated[str, typer.Option(help="Where the API answers.")] = DEFAULT_URL,
    users: Annotated[int, typer.Option(min=1, max=10_000, help="Users at work at once.")] = 20,
    duration: Annotated[str, typer.Option(help="For how long: a number with s, m, h or d.")] = "30s",
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 where an operation failed or missed its objective.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    seed: Annotated[int | None, typer.Option(help="Repeat an earlier run's choices.", show_default=False)] = None,
    data_dir: DataDir = None,
) -> None:
    """Replay refinement work of many users, then show rates and percentiles beside the objectives.

    Example: lift-store loadgen --users 20 --duration 30s --check

    Exit code 0; with --check, 1 where an operation failed or missed its objective.
    """
    seconds, secret = parse_duration(duration).total_seconds(), jwt_secret(data_dir)
    chosen = random.randrange(2**32) if seed is None else seed  # noqa: S311 - choices of work, not secrets
    console = Console(stderr=True)
    with Progress(console=console, disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task(f"{users} users at work", total=seconds)

        def show(elapsed: float, operations: int) -> None:
            progress.update(task, completed=elapsed, description=f"{users} users at work, {operations} operations")

        report: LoadReport = asyncio.run(
            run(url, users=users, duration=seconds, mint=lambda user: mint(secret, user), seed=chosen, on_progress=show)
        )
    if as_json:
        typer.echo(json.dumps(report.to_json() | {"seed": chosen}, indent=2))
    else:
        Console().print(report.table())
    raise typer.Exit(check and not report.ok)
