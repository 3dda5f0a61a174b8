"""Connections that cannot be had, each for its own reason: the cause is named, the rest is skipped, no password is shown."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from lift_store.doctor import CHECKS, Finding, Report, State
from lift_store.doctor.connection import connected, looking
from lift_store.local.postgres import LocalPostgres
from tests.integration.doctor.conftest import Patient
from tests.pgbouncer import pgbouncer, through
from tests.servers import BINARIES, PASSWORD, Database, migrated_database

# libpq's words, and the server's, are the same for each version
pytestmark = pytest.mark.parametrize("any_server", [max(BINARIES)], indirect=True)
OTHERS = {"configuration", "user.connection", "token.keys", "token.claims"}


def refusal(report: Report) -> Finding:
    """Return why there is no connection; see that nothing beyond it is claimed to be fine."""
    findings = {finding.name: finding for finding in report.findings}
    dependent = {name for name in CHECKS if name not in OTHERS and not name.startswith("operator.")}
    assert {findings[name].state for name in dependent} == {State.SKIP}
    assert {findings[name].found for name in dependent} == {"no connection, see user.connection"}
    assert findings["user.connection"].state is State.FAIL
    assert findings["user.connection"].mend
    assert PASSWORD not in str(report)
    return findings["user.connection"]


async def test_a_wrong_password(patient: Patient) -> None:
    """Not shown, of course."""
    wrong = "s3cret-and-wrong"
    patient.user = patient.dsn(patient.login(), password=wrong)
    report = await patient.report()
    assert "refuses the login or its password" in refusal(report).found
    assert wrong not in str(report)


async def test_no_password(patient: Patient) -> None:
    """The same cause in other words."""
    patient.user = patient.dsn(patient.login(), password="")
    assert "refuses the login or its password" in refusal(await patient.report()).found


async def test_an_unknown_login(patient: Patient) -> None:
    """PostgreSQL does not tell it from a wrong password."""
    patient.user = patient.dsn("nobody_at_all")
    assert "refuses the login or its password" in refusal(await patient.report()).found


async def test_a_role_that_cannot_log_in(patient: Patient) -> None:
    """Such as lift_app itself."""
    patient.user = patient.dsn(patient.role(f"nologin password '{PASSWORD}'"))
    assert "cannot log in" in refusal(await patient.report()).found


async def test_nothing_listening(patient: Patient) -> None:
    """A port that nobody has."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound and not listening: nobody else takes it
        patient.user = patient.dsn("test_app", port=str(bound.getsockname()[1]))
        assert "nothing listens there" in refusal(await patient.report()).found


async def test_an_unknown_host(patient: Patient) -> None:
    """`.invalid` is nobody's, by RFC 2606."""
    patient.user = "postgresql://app:secret@database.invalid:5432/lift"
    found = refusal(await patient.report()).found
    assert "database.invalid:5432 as app" in found
    assert "host name is not known" in found


async def test_no_socket(patient: Patient, tmp_path: Path) -> None:
    """A folder without one."""
    patient.user = f"host={tmp_path} user=app dbname=lift"
    assert "no such socket" in refusal(await patient.report()).found


async def test_an_unknown_database(patient: Patient) -> None:
    """It is named."""
    patient.user = patient.dsn("test_app", dbname="lyft")
    assert "no database 'lyft'" in refusal(await patient.report()).found


async def test_a_database_that_the_login_may_not_enter(broken: Patient) -> None:
    """The statement lets it in."""
    broken.user = broken.dsn(broken.login())
    broken.run(f"revoke connect on database {conninfo_to_dict(broken.user)['dbname']} from public")
    assert "may not enter the database" in refusal(await broken.report()).found
    await broken.mended("user.connection")


async def test_a_login_with_no_connection_left(patient: Patient) -> None:
    """Its own limit, or the server's."""
    patient.user = patient.dsn(patient.login(attributes="connection limit 0"))
    assert "no connection left" in refusal(await patient.report()).found


async def test_tls_that_the_server_does_not_offer(patient: Patient) -> None:
    """As the connection string demands it."""
    patient.user = patient.dsn("test_app", sslmode="require")
    assert "TLS failed" in refusal(await patient.report()).found


async def test_a_connection_without_tls_from_elsewhere(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is in between can read along; on this machine, nobody is."""
    monkeypatch.setattr("lift_store.doctor.server.is_local", lambda _: False)
    finding = await patient.one("user.connection")
    assert finding.state is State.WARN
    assert "sslmode=verify-full" in finding.mend


async def test_a_server_that_does_not_answer(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that says nothing, as behind a firewall that drops packets."""
    monkeypatch.setattr(import_module("lift_store.doctor.subject"), "LIMIT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        patient.user = patient.dsn("test_app", port=str(silent.getsockname()[1]))
        assert "no answer in time" in refusal(await patient.report()).found


@pytest.mark.usefixtures("any_server")
async def test_a_server_that_knows_nothing_of_us() -> None:
    """The roles come with the migrations, so these are what to run."""
    with LocalPostgres.temporary() as server:
        admin = server.dsn("postgres", "postgres")
        patient = Patient(Database(admin=admin, migrator=admin, app=server.dsn("app", "postgres", PASSWORD), operator=admin))
        patient.run(f"create role app login password '{PASSWORD}'")
        patient.operator = None
        findings = {finding.name: finding for finding in (await patient.report()).findings}
    assert findings["user.membership"].state is State.FAIL
    assert "no role lift_app, anon, authenticated exists" in findings["user.membership"].found
    assert "lift-store migrate up" in findings["user.membership"].mend
    assert findings["migrations"].state is State.FAIL
    assert findings["functions"].state is State.SKIP


@pytest.mark.usefixtures("any_server")
async def test_a_server_that_freezes_is_left_behind() -> None:
    """The check ends in its time, and the connection with it, so that the next one does not wait for it again."""
    with LocalPostgres.temporary() as server:
        async with connected(server.dsn("postgres", "postgres"), 5) as connection:
            with server.frozen(), pytest.raises(TimeoutError):
                async with looking(connection, 0.2):
                    pytest.fail("a frozen server answered")
            assert connection.closed


async def test_a_connection_that_breaks_is_no_finding_of_each_check(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check that it breaks in says so, those after it are skipped."""

    async def breaking(name: str, _: object) -> list[Finding]:
        patient.run(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'lift-store doctor' and usename = 'test_app'"
        )
        return [Finding(name, State.OK, "broken")]

    checks = {name: breaking if name == "clock" else check for name, check in CHECKS.items()}
    monkeypatch.setattr(import_module("lift_store.doctor.examine"), "CHECKS", checks)
    findings = {finding.name: finding for finding in (await patient.report()).findings}
    assert (findings["writing"].state, findings["writing"].found) == (State.FAIL, "the connection was lost: AdminShutdown")
    after = (findings["user.attributes"], findings["row_security"])
    assert {(finding.state, finding.found) for finding in after} == {(State.SKIP, "the connection was lost")}
    assert findings["operator.attributes"].state is State.OK


async def test_a_check_that_breaks_is_named_by_its_error_only(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its text might hold a secret; the others go on."""

    async def breaking(*_: object) -> list[Finding]:
        raise ZeroDivisionError(PASSWORD)

    monkeypatch.setattr(import_module("lift_store.doctor.examine"), "CHECKS", {**CHECKS, "clock": breaking})
    report = await patient.report()
    findings = {finding.name: finding for finding in report.findings}
    assert (findings["clock"].state, findings["clock"].found) == (State.FAIL, "the check itself broke: ZeroDivisionError")
    assert findings["writing"].state is State.OK
    assert PASSWORD not in str(report)


async def test_behind_a_pooler(any_server: LocalPostgres, patient: Patient) -> None:
    """It is noticed; what it does with prepared statements and connections cannot be seen, and is not claimed."""
    with pgbouncer(any_server) as port:
        patient.user = through(port, patient.database.app)
        assert (await patient.one("prepared_statements")).state is State.WARN
        assert (await patient.one("pool")).state is State.SKIP
        assert (await patient.one("prepared_statements", prepared_statements=False)).state is State.OK
        rest = [finding for finding in (await patient.report()).findings if finding.name not in {"prepared_statements", "pool"}]
        assert {finding.state for finding in rest if finding.name != "version"} == {State.OK}
        patient.user = through(port, patient.dsn("test_app", dbname="lyft"))
        assert "no database 'lyft'" in refusal(await patient.report()).found


@pytest.fixture
def standby() -> Iterator[Database]:
    """A migrated database on a server that has become a standby."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o711)  # the server's account, where we are root, must pass through
        with LocalPostgres(folder / "server", settings={"fsync": "off"}) as server:
            database = migrated_database(server)
            (folder / "server" / "postgresql" / "standby.signal").touch()
            server.kill()
            server.restart()
            yield database


@pytest.mark.usefixtures("any_server")
async def test_a_standby_takes_no_writes(standby: Database) -> None:
    """Named as such: each operation would be refused. An operator may well look at one."""
    findings = {finding.name: finding for finding in (await Patient(standby).report()).findings}
    assert findings["writing"].state is State.FAIL
    assert "standby" in findings["writing"].found
    rest = {finding.state for name, finding in findings.items() if name not in {"writing", "version"}}
    assert rest == {State.OK}
