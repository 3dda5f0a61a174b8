"""The wheel: what it installs, that the tests run against it, and that its core does without the extras."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path
from zipfile import ZipFile

import pytest

import lift_store
import lift_telemetry

ROOT = Path(__file__).parents[2]
CORE = ROOT / ".venv/core/bin"
STORE_A_SESSION = """
import asyncio, sys
from uuid import uuid4
from lift_store import InMemorySessionStore, NewSession, PostgresSessionStore, Principal, SpecSessionManager
async def main():
    async with InMemorySessionStore() as store:
        sessions = store.as_user(Principal(uuid4()))
        created = await sessions.create(NewSession())
        assert (await sessions.get(created.session_id)).version == 1
asyncio.run(main())
print(*sorted({"supabase", "fastapi", "httpx", "typer", "structlog", "uvicorn", "opentelemetry.sdk"} & set(sys.modules)))
"""
by_dev = pytest.mark.skipif("LIFT_STORE_WHEEL" not in os.environ, reason="./dev test builds the wheel, installs it, and says where")


def core(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment that has the wheel and what its core needs, away from the sources."""
    return subprocess.run([CORE / command[0], *command[1:]], cwd="/", env={}, capture_output=True, text=True, check=False, timeout=60)


def test_the_wheel_installs_the_names_of_the_contract_only(tmp_path: Path) -> None:
    """SQL and types included."""
    subprocess.run([Path(sys.executable).parent / "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True, timeout=60)
    [wheel] = tmp_path.iterdir()
    names = ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {
        "lift_store",
        "lift_telemetry",
        f"lift_store-{wheel.name.split('-')[1]}.dist-info",
    }
    assert {"lift_store/py.typed", "lift_telemetry/py.typed"} <= set(names)
    migrations = {f"lift_store/schema/sql/{file.relative_to(ROOT / 'migrations')}" for file in (ROOT / "migrations").rglob("*.sql")}
    assert migrations <= set(names)
    assert not [name for name in names if "test" in name or name.endswith(".pyc")]


@by_dev
def test_the_tests_run_against_the_wheel() -> None:
    """Not against the sources beside them."""
    for package in (lift_store, lift_telemetry):
        assert Path(str(package.__file__)).is_relative_to(os.environ["LIFT_STORE_WHEEL"])


@by_dev
def test_the_core_stores_sessions_without_the_extras() -> None:
    """Neither installed nor imported."""
    answer = core("python", "-c", STORE_A_SESSION)
    assert (answer.returncode, answer.stdout.strip()) == (0, ""), answer.stderr
    needed = {line.split(";")[0] for line in requires("lift-store") or () if "extra ==" not in line}
    assert len(needed) == 4, "the core is pydantic, psycopg with its pool, prometheus-client and opentelemetry-api"


@by_dev
@pytest.mark.parametrize("module", ["lift_store.api.app", "lift_store.factory", "lift_store.cli.main"])
def test_what_an_extra_brings_names_what_is_missing(module: str) -> None:
    """As Python does."""
    answer = core("python", "-c", f"import {module}")
    assert answer.returncode == 1
    assert "ModuleNotFoundError: No module named" in answer.stderr


@by_dev
def test_the_command_line_names_its_extra() -> None:
    """One line, no traceback."""
    answer = core("lift-store", "--help")
    assert answer.returncode == 1
    assert answer.stderr == "lift-store: typer is not installed; run: pip install 'lift-store[cli]'\n"
