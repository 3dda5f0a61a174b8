"""What simulated users ask for: real programming prompts, the holes in them, and drafts of plausible size."""

from __future__ import annotations

import ast
import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any, Final

MIN_DRAFT_BYTES: Final = 2_000
MAX_DRAFT_BYTES: Final = 60_000


@dataclass(frozen=True, slots=True)
class Prompt:
    """A problem: what the user asks, what stays open in it, and what a finalized session ends with."""

    text: str
    entry_point: str
    solution: str
    holes: tuple[str, ...]


@cache
def prompts() -> tuple[Prompt, ...]:
    """Return the problems of HumanEval; see data/NOTICE."""
    lines = (files("lift_store.cli.loadgen") / "data" / "prompts.jsonl").read_text("utf-8").splitlines()
    return tuple(_prompt(json.loads(line)) for line in lines)


def _prompt(row: dict[str, str]) -> Prompt:
    return Prompt(row["prompt"], row["entry_point"], row["solution"], _holes(row))


def _holes(row: dict[str, str]) -> tuple[str, ...]:
    """Parameters and return type: what a specification must pin down before it is complete."""
    for node in ast.walk(ast.parse(row["prompt"] + row["solution"])):
        if isinstance(node, ast.FunctionDef) and node.name == row["entry_point"]:
            return (*(f"param:{argument.arg}" for argument in node.args.args), "return")
    return ("return",)


def draft(prompt: Prompt, rng: Random, open_holes: tuple[str, ...]) -> dict[str, Any]:
    """Return a draft with an IR of 2 to 60 kB, most of them small, whose *open_holes* are its ambiguities."""
    size = math.exp(rng.uniform(math.log(MIN_DRAFT_BYTES), math.log(MAX_DRAFT_BYTES)))
    words = prompt.text.split()
    ir: dict[str, Any] = {
        "intent": {"summary": prompt.text, "source": "prompt"},
        "signature": {"name": prompt.entry_point, "holes": [{"id": hole, "type": "?"} for hole in prompt.holes]},
        "assertions": [],
    }
    written = len(json.dumps(ir))
    while written < size - 250:
        clause = {
            "id": f"a{len(ir['assertions'])}",
            "kind": rng.choice(["precondition", "postcondition", "effect", "invariant"]),
            "text": " ".join(rng.choices(words, k=12))[:120],
            "confidence": round(rng.random(), 4),
            "over": rng.sample(prompt.holes, k=1),
        }
        ir["assertions"].append(clause)
        written += len(json.dumps(clause)) + 2
    status = "incomplete" if open_holes else "valid"
    return {"ir": ir, "ambiguities": list(open_holes), "validation_status": status, "smt_results": [{"result": status}]}
