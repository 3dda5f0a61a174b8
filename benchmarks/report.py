"""What every benchmark ends with: a table for people, JSON for the repository, and exit code 1 where a goal is missed."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Result:
    """One comparison: baseline and subject in *unit*, and the *figure* that the goal is about."""

    name: str
    baseline: float
    subject: float
    unit: str
    figure: float
    figure_unit: str
    goal: str
    met: bool


def options(description: str) -> argparse.ArgumentParser:
    """Return the command line that benchmarks share."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the results there")
    return parser


def report(results: Sequence[Result], file: Path | None, **details: Any) -> None:
    """Print the table, write the JSON, and end the program: with code 1 where a goal is missed."""
    machine = {
        "python": platform.python_version(),
        "psycopg": psycopg.__version__,
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
    }
    table = Table("what", "baseline", "ours", "figure", "goal", "met", title=f"{machine}")
    for r in results:
        values = (f"{value:.4g} {r.unit}" for value in (r.baseline, r.subject))
        table.add_row(r.name, *values, f"{r.figure:.2f} {r.figure_unit}", r.goal, "yes" if r.met else "NO")
    Console(width=120).print(table)
    if file:
        whole = {"machine": machine, "results": [asdict(r) for r in results], **details}
        file.write_text(json.dumps(whole, indent=2) + "\n", "utf-8")
    sys.exit(0 if all(r.met for r in results) else 1)
