"""`lift-store doctor` as an operator uses it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from lift_store.doctor import CHECKS
from tests.e2e.test_up import run
from tests.integration.doctor.conftest import ISSUER, SECRET
from tests.servers import PASSWORD, Database

LINE = re.compile(r"^(ok  |warn|fail|skip)  ([a-z_.]+) +\S")
TOKENS = {"SUPABASE_JWT_SECRET": SECRET, "LIFT_STORE_JWT_ISSUER": ISSUER}


@pytest.fixture
def sound_environment(database: Database) -> dict[str, str]:
    """What the service is started with where all is well."""
    return {"DATABASE_URL": database.app, "LIFT_STORE_OPERATOR_DATABASE_URL": database.operator, **TOKENS}


def test_all_is_well(sound_environment: dict[str, str]) -> None:
    """A line for each check, and exit code 0."""
    ended = run("doctor", **sound_environment)
    names = [match[2] for line in ended.stdout.splitlines() if (match := LINE.match(line))]
    assert list(dict.fromkeys(names)) == list(CHECKS)
    assert "fail" not in ended.stdout
    assert (ended.returncode, ended.stderr) == (0, "")


def test_what_fails_is_mended_below(sound_environment: dict[str, str], database: Database) -> None:
    """The line, what to do, the statement that does it; exit code 1, and no password."""
    dsn = make_conninfo(database.app, options="-c default_transaction_read_only=on")
    ended = run("doctor", **(sound_environment | {"DATABASE_URL": dsn}))
    lines = ended.stdout.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("fail  writing"))
    assert lines[at + 1].startswith("      mend: ")
    assert lines[at + 2].strip() == "alter role test_app reset default_transaction_read_only;"
    assert ended.returncode == 1
    assert PASSWORD not in ended.stdout + ended.stderr
    assert SECRET not in ended.stdout + ended.stderr


def test_long_lines_are_not_wrapped(sound_environment: dict[str, str], database: Database) -> None:
    """However narrow the terminal: statements are there to be pasted."""
    dsn = make_conninfo(database.app, options="-c default_transaction_read_only=on")
    ended = run("doctor", **(sound_environment | {"DATABASE_URL": dsn, "COLUMNS": "20"}))
    assert "            alter role test_app reset default_transaction_read_only;" in ended.stdout.splitlines()


@pytest.mark.parametrize("password", [PASSWORD, "s3cret-and-wrong"])
def test_json_is_all_that_is_printed(sound_environment: dict[str, str], database: Database, password: str) -> None:
    """One document, with the exit code of the lines; no secret in it."""
    ended = run("doctor", "--json", **(sound_environment | {"DATABASE_URL": make_conninfo(database.app, password=password)}))
    document = json.loads(ended.stdout)
    failed = password != PASSWORD
    assert (ended.returncode, ended.stderr) == (int(failed), "")
    assert document["status"] == ("fail" if failed else "ok")
    assert set(document["checks"][0]) == {"name", "state", "found", "mend", "sql"}
    assert list(dict.fromkeys(check["name"] for check in document["checks"])) == list(CHECKS)
    assert password not in ended.stdout
    assert SECRET not in ended.stdout


def test_without_an_operators_login_nothing_fails(sound_environment: dict[str, str]) -> None:
    """What is not configured is skipped, and warnings are no failure."""
    del sound_environment["LIFT_STORE_OPERATOR_DATABASE_URL"], sound_environment["LIFT_STORE_JWT_ISSUER"]
    ended = run("doctor", **sound_environment)
    assert ended.returncode == 0
    assert "skip  operator.connection" in ended.stdout
    assert "warn  token.claims" in ended.stdout


def test_on_the_memory_backend() -> None:
    """Everything about databases is skipped, and says why."""
    ended = run("doctor", "--json", LIFT_STORE_BACKEND="memory", **TOKENS)
    states = {check["name"]: check["state"] for check in json.loads(ended.stdout)["checks"]}
    assert {name for name, state in states.items() if state != "skip"} == {"configuration", "token.keys", "token.claims"}
    assert ended.returncode == 0


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({}, "DATABASE_URL is missing"),
        ({"DATABASE_URL": "postgresql://app:s3cret@host:port/lift", **TOKENS}, "DATABASE_URL is not valid"),
        ({"DATABASE_URL": "postgresql://app:s3cret@host/lift", "SUPABASE_JWT_SECRET": "s3cret"}, "SUPABASE_JWT_SECRET is not valid"),
        ({"LIFT_STORE_BACKEND": "memory", "LIFT_STORE_JWKS_URL": "https://host/keys", **TOKENS}, "LIFT_STORE_JWKS_URL contradicts"),
    ],
)
def test_a_bad_configuration_is_the_one_finding(environment: dict[str, str], names: str) -> None:
    """It is the first thing to mend."""
    ended = run("doctor", **environment)
    [line, mend] = ended.stdout.splitlines()
    assert line.startswith(f"fail  configuration  {names}")
    assert "docs/CONFIGURATION.md" in mend
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "s3cret" not in ended.stdout
    [check] = json.loads(run("doctor", "--json", **environment).stdout)["checks"]
    assert check["state"] == "fail"


def test_usage() -> None:
    """Exit code 2, as of every command; help has an example."""
    assert run("doctor", "--mend").returncode == 2
    shown = run("doctor", "--help")
    assert shown.returncode == 0
    assert "Example: lift-store doctor" in shown.stdout


def test_the_page_explains_every_check() -> None:
    """In their order, and its example has a line of each."""
    page = (Path(__file__).parents[3] / "docs" / "DOCTOR.md").read_text()
    explained = page.split("## The checks")[1]
    assert re.findall(r"^\| ([a-z_.]+) \|", explained, re.MULTILINE)[1:] == list(CHECKS)
    assert [match[2] for line in page.splitlines() if (match := LINE.match(line))] == list(CHECKS)
