"""`lift-store doctor`: what is wrong with this set-up, line by line, and how to mend it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from lift_store.doctor import Finding

_STYLES: Final = {"ok": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}
_INDENT: Final = " " * 6


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False) -> None:
    """Check everything that can be checked: configuration, connections, roles, schema, functions, timeouts, clock, tokens.

    Example: lift-store doctor --json

    Looks at what `serve` would use, and changes nothing. A line says ok, warn, fail or skip (could not be checked); below it stands how to
    mend it. Exit code 1 where any line says fail; docs/DOCTOR.md explains each.
    """
    from lift_store.doctor import State, examine

    report = asyncio.run(examine())
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
    else:
        console, width = Console(highlight=False, soft_wrap=True), max(len(finding.name) for finding in report.findings)
        for finding in report.findings:
            console.print(_text(finding, width))
    raise typer.Exit(report.status is State.FAIL)


def _text(finding: Finding, width: int) -> Text:
    """Return the finding's line, and below it what mends it: not wrapped, so that statements can be pasted."""
    text = Text.assemble((f"{finding.state:<4}", _STYLES[finding.state]), f"  {finding.name:<{width}}  {finding.found}")
    if finding.mend:
        text.append(f"\n{_INDENT}mend: {finding.mend}")
    for statement in finding.sql:
        text.append(f"\n{_INDENT}{_INDENT}{statement}", style="cyan")
    return text
