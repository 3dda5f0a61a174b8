"""What README and docs say is true: their code runs, their tables are those of the code."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg

from docs import supabase_errors
from lift_store.local.postgres import LocalPostgres
from lift_store.schema import migrate
from lift_store.settings import Settings
from tests.servers import Database, empty_database

ROOT = Path(__file__).parents[2]
DECIMALS = {"us": 1, "ms": 2, "s": 2, "MiB": 1}


def test_the_example_of_the_readme_runs(database: Database) -> None:
    """As written, on a real database."""
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert code is not None
    assert len([line for line in code[1].splitlines() if line and not line.startswith(("import", "from"))]) <= 12
    answer = subprocess.run(
        [sys.executable, "-c", code[1]],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "DATABASE_URL": database.app},
    )
    assert answer.returncode == 0, answer.stderr
    assert "finalized" in answer.stdout


def test_the_logins_of_the_docs_can_be_made(server: LocalPostgres) -> None:
    """The statements for plain PostgreSQL, by the migrating role's superior."""
    database = empty_database(server)
    migrate.up(database.migrator)
    text = (ROOT / "docs" / "DATABASE.md").read_text()
    statements = "\n".join(line for line in text.splitlines() if re.match(r"    (create|alter|grant) ", line))
    with psycopg.connect(database.admin) as connection:
        connection.execute(re.sub(r"\b(app|operator)\b(?= |;)", r"docs_\1", statements).encode())
        members = connection.execute("select pg_has_role('docs_app', 'authenticated', 'member')").fetchone()
        connection.rollback()
    assert members == (True,)


def test_the_table_of_variables_is_that_of_the_code() -> None:
    """Each variable, with what it takes."""
    rows = re.findall(r"^\| ([A-Z_]+) \| (.*?) \|", (ROOT / "docs" / "CONFIGURATION.md").read_text(), re.MULTILINE)
    assert rows == [(field.validation_alias, field.description) for field in Settings.model_fields.values()]


def test_the_tables_of_supabase_errors_are_those_of_the_code() -> None:
    """What `python -m docs.supabase_errors` writes: the code's tables, and what they make of the recorded answers."""
    assert supabase_errors.page() == supabase_errors.PAGE.read_text()


def test_every_variable_of_the_page_on_processes_is_one() -> None:
    """Of the service."""
    named = set(re.findall(r"\bLIFT_STORE_[A-Z_]+[A-Z]\b", (ROOT / "docs" / "PROCESSES.md").read_text()))
    assert named
    assert named <= {str(field.validation_alias) for field in Settings.model_fields.values()}


def test_prometheus_takes_the_scrapes_of_the_docs(tmp_path: Path) -> None:
    """Of processes and of replicas, as written."""
    scrapes = re.findall(r"```yaml\n(scrape_configs:.*?)```", (ROOT / "docs" / "PROCESSES.md").read_text(), re.DOTALL)
    assert len(scrapes) == 2
    for text in scrapes:
        file = tmp_path / "prometheus.yaml"
        file.write_text(text)
        answer = subprocess.run(
            [shutil.which("promtool") or "promtool", "check", "config", file], capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_dependency_has_its_reason() -> None:
    """In docs/DEPENDENCIES.md, by name."""
    reasons = (ROOT / "docs" / "DEPENDENCIES.md").read_text()
    project = (ROOT / "pyproject.toml").read_text()
    declared = set(re.findall(r'^  "([a-z][a-z0-9-]+)(?:\[[a-z,]+\])?[><]', project, re.MULTILINE))
    declared |= set(re.findall(r'[\[ ]"([a-z][a-z0-9-]+)(?:\[[a-z,]+\])?[><]', project))
    assert len(declared) > 20
    assert {name for name in declared - {"lift-store"} if name not in reasons} == set()


def test_the_figures_of_the_readme_are_those_of_the_last_runs() -> None:
    """Of every benchmark, each with its baseline's; a goal that was missed is called so."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in (ROOT / "README.md").read_text().splitlines() if line[:2] == "| "]
    told = {(base, ours): figure for _, base, ours, figure in rows}
    files = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
    assert [file.stem for file in files] == ["api", "memory", "start", "store"]
    for result in [result for file in files for result in json.loads(file.read_text())["results"]]:
        base, ours = (f"{result[side]:.{DECIMALS[result['unit']]}f} {result['unit']}" for side in ("baseline", "subject"))
        assert (base, ours) in told, result["name"]
        assert result["met"] == ("missed" not in told[base, ours]), result["name"]


def test_links_of_the_readme_lead_somewhere() -> None:
    """Files that are there."""
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
