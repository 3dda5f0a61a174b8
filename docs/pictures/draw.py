"""Draw the pictures of the README from a run of the real thing, which takes three minutes and the usual ports of `up`.

    pip install --group pictures
    python -m docs.pictures.draw [--again]

--again: from the last run, which is kept in run.json.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from rich.console import Console
from rich.text import Text

from docs.pictures.run import LOAD, UP, WINDOW, Run, record
from docs.pictures.terminal import COLUMNS
from lift_store.catalog import LATENCY_OBJECTIVES
from lift_store.protocol import Operation

_HERE: Final = Path(__file__).parent
_KEPT: Final = _HERE / "run.json"
_FONTS: Final = "ui-monospace, Menlo, Consolas, DejaVu Sans Mono"
_COLOURS: Final = {operation: f"C{number}" for number, operation in enumerate(Operation)}


def draw_terminal(run: Run) -> None:
    """Draw both terminals, one below the other."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True, color_system="truecolor")
    for command, seen in ((UP, run.up), (LOAD, run.load)):
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        console.print(Text.from_ansi(seen), end="\n\n" if command is UP else "")
    svg = console.export_svg(title="lift-store", unique_id="lift-store")
    # who reads a README should load nothing from third parties, such as rich's fonts
    local = re.sub(r"@font-face {.*?}", "", svg, flags=re.DOTALL).replace("Fira Code", _FONTS)
    (_HERE / "terminal.svg").write_text(local, "utf-8")


def draw_latency(run: Run) -> None:
    """Draw the 95th percentiles, with the objectives, above the rates."""
    mpl.rcParams.update({"svg.hashsalt": "lift-store", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, (latency, rate) = plt.subplots(2, sharex=True, figsize=(9, 5.6), height_ratios=(3, 2), layout="constrained")
    for axes, series in ((latency, run.p95), (rate, run.rate)):
        for operation in Operation:
            axes.plot(*zip(*series[operation], strict=True), color=_COLOURS[operation], linewidth=1.4, label=operation)
        axes.axvspan(*run.locked, color="0.9", linewidth=0)
        axes.grid(axis="y", color="0.92")
        axes.set_axisbelow(True)
    _objectives(latency)
    latency.set(
        yscale="log", ylabel="95th percentile, s", title=f"Each operation as Prometheus saw it; each point is of the last {WINDOW} s"
    )
    latency.set_yticks([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1], labels=["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"])
    latency.set_yticks([], minor=True)
    rate.set(xlabel="time since the load began, s", ylabel="operations per s", ylim=(0, None), xlim=(0, None))
    latency.text(run.locked[0] - 1, 0.9, "another session locks the table", ha="right", va="center")
    figure.legend(*latency.get_legend_handles_labels(), loc="outside right center", title="operation", frameon=False)
    figure.savefig(_HERE / "latency.svg", metadata={"Date": None})


def _objectives(axes: Axes) -> None:
    for threshold in sorted({objective.threshold for objective in LATENCY_OBJECTIVES}):
        held = [objective.operation for objective in LATENCY_OBJECTIVES if objective.threshold == threshold]
        whose = held[0] if len(held) == 1 else "the others"
        axes.axhline(threshold, color="0.25", linestyle="--", linewidth=1)
        axes.text(1, threshold * 1.04, f"objective of {whose}: 99 % under {threshold:g} s", va="bottom", color="0.25")


def main() -> None:
    """Run, keep what came of it, and draw."""
    if "--again" not in sys.argv[1:]:
        _KEPT.write_text(json.dumps(asdict(record())) + "\n", "utf-8")
    run = Run(**json.loads(_KEPT.read_text("utf-8")))
    draw_terminal(run)
    draw_latency(run)


if __name__ == "__main__":
    main()
