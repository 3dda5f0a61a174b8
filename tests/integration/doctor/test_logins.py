"""Logins: what they are and may become, their timeouts and limits. Each fault is real, and its statements mend it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lift_store.doctor import CHECKS, State
from lift_store.settings import BackendChoice
from tests.integration.doctor.conftest import Patient
from tests.servers import PASSWORD


async def test_all_is_well_where_it_was_set_up_as_documented(patient: Patient) -> None:
    """On each version; whether that version has faults, and gets fixes, changes with time and is judged elsewhere."""
    report = await patient.report()
    assert list(CHECKS) == [finding.name for finding in report.findings]
    assert [finding for finding in report.findings if finding.state is not State.OK and finding.name != "version"] == []


async def test_the_logins_of_the_docs_are_well(patient: Patient) -> None:
    """As docs/DATABASE.md makes them, statement by statement."""
    text = (Path(__file__).parents[3] / "docs" / "DATABASE.md").read_text()
    names = {"app": patient.role(), "operator": patient.role()}
    patient.run(*(f"drop role {name}" for name in names.values()))  # known to the patient, who cleans up
    for line in text.splitlines():
        if re.match(r"    (create|alter|grant) ", line):
            patient.run(re.sub(r"\b(app|operator)\b(?= |;)", lambda found: names[found[1]], line).replace("'...'", f"'{PASSWORD}'"))
    patient.user, patient.operator = patient.dsn(names["app"]), patient.dsn(names["operator"])
    assert {finding.state for finding in (await patient.report()).findings if finding.name != "version"} == {State.OK}


@pytest.mark.parametrize("attribute", ["superuser", "bypassrls", "createrole", "createdb", "replication"])
async def test_a_login_with_an_attribute(patient: Patient, attribute: str) -> None:
    """None of them is the service's business."""
    name = patient.login(attributes=attribute)
    patient.user = patient.dsn(name)
    assert attribute in (await patient.mended("user.attributes")).lower()
    assert (await patient.one("user.membership")).state is State.OK


async def test_what_a_superuser_may_become_is_not_told(patient: Patient) -> None:
    """Everything: the check is skipped, and refers to the one that fails."""
    patient.user = patient.dsn(patient.login(attributes="superuser"))
    finding = await patient.one("user.membership")
    assert finding.state is State.SKIP
    assert "see user.attributes" in finding.found


async def test_a_role_of_the_path_with_an_attribute(patient: Patient) -> None:
    """The service becomes authenticated: what that may do, everybody may."""
    patient.run("alter role authenticated bypassrls")
    try:
        assert "authenticated is BYPASSRLS" in await patient.mended("user.attributes")
    finally:
        patient.run("alter role authenticated nobypassrls")


@pytest.mark.parametrize("login", ["admin", "migrator"])
async def test_an_administrator_is_no_login_of_the_service(patient: Patient, login: str) -> None:
    """The server's superuser, the database's owner: no statement takes their attributes, another login is named."""
    patient.user = getattr(patient.database, login)
    findings = await patient.found("user.attributes") + await patient.found("user.timeouts")
    assert State.FAIL in {finding.state for finding in findings}
    assert {()} == {finding.sql for finding in findings}
    assert all("name a login of the service's own in DATABASE_URL" in finding.mend for finding in findings)
    assert (await patient.one("user.membership")).state is State.SKIP


@pytest.mark.parametrize("role", ["lift_owner", "lift_operator", "service_role", "pg_read_all_data"])
async def test_a_login_that_may_become_more(patient: Patient, role: str) -> None:
    """Each other role is one too many."""
    name = patient.login()
    patient.user = patient.dsn(name)
    patient.run(f"grant {role} to {name}")
    assert role in await patient.mended("user.membership")


async def test_a_login_that_may_become_more_by_way_of_another(patient: Patient) -> None:
    """The grant to the login is what is taken back, not that to the role between."""
    between, name = patient.role(), patient.login()
    patient.user = patient.dsn(name)
    patient.run(f"grant lift_owner to {between}", f"grant {between} to {name}")
    finding = await patient.one("user.membership")
    assert len(finding.sql) == 1
    found = await patient.mended("user.membership")
    assert "lift_owner" in found
    assert between in found


async def test_a_grant_of_somebody_else(patient: Patient) -> None:
    """Since 16, a grant is taken back in the name of who gave it."""
    name = patient.login()
    patient.user = patient.dsn(name)
    patient.run(f"grant lift_owner to {name}", by=patient.database.migrator)
    patient.run(f"grant lift_owner to {name}")
    assert "lift_owner" in await patient.mended("user.membership")


async def test_what_the_groups_may_become_counts(patient: Patient) -> None:
    """A role granted to lift_app reaches every member of it."""
    extra = patient.role()
    patient.run(f"grant {extra} to lift_app")
    assert extra in await patient.mended("user.membership")


async def test_a_login_without_its_group(patient: Patient) -> None:
    """It can do nothing at all, and cannot read the ledger; what can be looked at, is."""
    name = patient.login(group=None)
    patient.user = patient.dsn(name)
    states = {finding.name: finding.state for finding in (await patient.report()).findings}
    assert State.SKIP is states["migrations"]
    assert [states["schema"], states["functions"], states["row_security"]] == [State.OK] * 3
    assert "may not become lift_app, anon, authenticated" in await patient.mended("user.membership")
    assert (await patient.one("migrations")).state is State.OK


async def test_a_login_that_does_not_inherit(patient: Patient) -> None:
    """It is a member, and may call nothing all the same."""
    name = patient.login()
    patient.user = patient.dsn(name)
    if patient.is_modern:
        patient.run(f"revoke lift_app from {name}", f"grant lift_app to {name} with inherit false, set false")
    else:
        patient.run(f"alter role {name} noinherit")
    assert "lift_app" in await patient.mended("user.membership")


async def test_a_group_that_lost_its_roles(patient: Patient) -> None:
    """lift_app may become authenticated, or no operation works."""
    patient.run("revoke authenticated, anon from lift_app")
    try:
        assert "authenticated" in await patient.mended("user.membership")
    finally:
        patient.run("grant anon, authenticated to lift_app")


async def test_the_operators_login_has_a_path_of_its_own(patient: Patient) -> None:
    """It may become lift_operator only."""
    name = patient.login("lift_operator")
    patient.operator = patient.dsn(name)
    patient.run(f"grant lift_app to {name}")
    assert "lift_app" in await patient.mended("operator.membership")
    patient.run(f"revoke lift_operator from {name}")
    assert "lift_operator" in await patient.mended("operator.membership")
    patient.run(f"alter role {name} bypassrls")
    assert "BYPASSRLS" in await patient.mended("operator.attributes")


@pytest.mark.parametrize("setting", ["statement_timeout", "idle_in_transaction_session_timeout"])
async def test_a_login_without_a_timeout(patient: Patient, setting: str) -> None:
    """Of either path; new sessions have what the statement sets."""
    user, operator = patient.login(), patient.login("lift_operator")
    patient.user, patient.operator = patient.dsn(user), patient.dsn(operator)
    patient.run(f"alter role {user} set {setting} = 0", f"alter role {operator} reset {setting}")
    for check in ("user.timeouts", "operator.timeouts"):
        assert f"{setting} is 0" in await patient.mended(check, State.WARN)


async def test_a_timeout_of_the_login_in_this_database(patient: Patient) -> None:
    """It wins over the login's own, so it is what is changed; one that is far above the operation's is too long."""
    name = patient.login()
    patient.user = patient.dsn(name)
    database = patient.database.admin.split("dbname=")[1].split()[0]
    patient.run(f"alter role {name} in database {database} set statement_timeout = '10min'")
    assert "statement_timeout is 600 s" in await patient.mended("user.timeouts", State.WARN)


async def test_a_timeout_of_the_connection_string(patient: Patient) -> None:
    """It wins over everything, so that is where it is taken out."""
    patient.user = patient.dsn(patient.login(), options="-c statement_timeout=0")
    finding = await patient.one("user.timeouts")
    assert (finding.state, finding.sql) == (State.WARN, ())
    assert "DATABASE_URL" in finding.mend


async def test_a_statement_that_ends_before_its_operation_is_fine(patient: Patient) -> None:
    """The caller is told in time."""
    name = patient.login()
    patient.user = patient.dsn(name)
    patient.run(f"alter role {name} set statement_timeout = '1s'")
    assert (await patient.one("user.timeouts")).state is State.OK


async def test_a_login_with_fewer_connections_than_the_pool(patient: Patient) -> None:
    """The pool would ask in vain."""
    name = patient.login(attributes="connection limit 5")
    patient.user = patient.dsn(name)
    assert "the login allows 5 connections" in await patient.mended("pool")


async def test_a_database_with_fewer_connections_than_the_pool(broken: Patient) -> None:
    """As the login's."""
    database = broken.database.admin.split("dbname=")[1].split()[0]
    broken.run(f"alter database {database} connection limit 9")
    assert "the database allows 9 connections" in await broken.mended("pool")


async def test_a_server_with_fewer_connections_than_the_pool(patient: Patient) -> None:
    """Which no statement changes without a restart."""
    finding = await patient.one("pool", pool_max_size=1000)
    assert (finding.state, finding.sql) == (State.FAIL, ())
    assert "LIFT_STORE_POOL_MAX_SIZE is 1000" in finding.found


async def test_a_login_that_only_reads(patient: Patient) -> None:
    """Every operation would be refused."""
    name = patient.login()
    patient.user = patient.dsn(name)
    patient.run(f"alter role {name} set default_transaction_read_only = on")
    assert "default_transaction_read_only" in await patient.mended("writing")


async def test_an_operator_in_another_database(patient: Patient, broken: Patient) -> None:
    """Its figures would be those of somebody else's sessions."""
    patient.operator = broken.database.operator
    finding = await patient.one("operator.database")
    assert State.FAIL is finding.state
    assert "another database" in finding.found


async def test_without_an_operators_login_its_checks_are_skipped(patient: Patient) -> None:
    """Each says why; that is no failure."""
    patient.operator = None
    report = await patient.report()
    skipped = {finding.name: finding.found for finding in report.findings if finding.state is State.SKIP}
    assert {name for name in CHECKS if name.startswith("operator.")} == set(skipped)
    assert {"LIFT_STORE_OPERATOR_DATABASE_URL is not set"} == set(skipped.values())


async def test_on_the_memory_backend_no_database_is_looked_at(patient: Patient) -> None:
    """Even where one is configured."""
    report = await patient.report(backend_choice=BackendChoice.MEMORY)
    looked_at = {finding.name for finding in report.findings if finding.state is not State.SKIP}
    assert {"configuration", "token.keys", "token.claims"} == looked_at
