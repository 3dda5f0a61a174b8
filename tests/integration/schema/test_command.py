"""`lift-store migrate` as an operator uses it."""

from __future__ import annotations

import json

from lift_store.local.postgres import LocalPostgres
from lift_store.schema.files import shipped
from tests.e2e.test_up import run
from tests.servers import empty_database


def test_status_up_and_down_from_the_shell(server: LocalPostgres) -> None:
    """Exit codes say whether there is something to do; down asks first; the login comes by option or by environment."""
    login = {"LIFT_STORE_MIGRATE_DATABASE_URL": empty_database(server).migrator}
    status = run("migrate", "status", "--json", **login)
    assert status.returncode == 1
    assert {row["state"] for row in json.loads(status.stdout)} == {"pending"}
    up = run("migrate", "up", **login)
    assert (up.returncode, up.stdout.splitlines()) == (0, [f"applied {m.name}" for m in shipped()])
    assert "Nothing to do" in run("migrate", "up", **login).stdout
    assert run("migrate", "status", **login).returncode == 0
    refused = run("migrate", "down", "--to", "0", **login)  # nobody answers the question
    assert refused.returncode == 1
    assert run("migrate", "status", **login).returncode == 0
    down = run("migrate", "down", "--to", "7", "--yes", "--json", **login)
    assert json.loads(down.stdout) == {"undone": [m.name for m in reversed(shipped()) if m.version > 7]}
