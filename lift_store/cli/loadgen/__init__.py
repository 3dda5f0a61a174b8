"""Realistic refinement work over HTTP, and how the service took it."""

from lift_store.cli.loadgen.report import LoadReport
from lift_store.cli.loadgen.work import run

__all__ = ["LoadReport", "run"]
