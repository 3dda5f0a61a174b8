"""Where a connection string leads, and why it did not get there."""

from __future__ import annotations

import psycopg
import pytest

from lift_store.doctor import State
from lift_store.doctor.connection import Target, is_local
from lift_store.doctor.refusal import explain

DSN = "postgresql://app:hunter2@db.example:6543/lift"
TARGET = Target.of("DATABASE_URL", DSN)


@pytest.mark.parametrize("host", ["", "localhost", "127.0.0.1", "127.8.8.8", "::1", "/run/postgresql", "@abstract"])
def test_this_machine(host: str) -> None:
    """Loopback, and sockets."""
    assert is_local(host)


@pytest.mark.parametrize("host", ["db.example", "10.0.0.1", "::2", "localhost.example", "127.0.0.1,db.example"])
def test_another_machine(host: str) -> None:
    """A list of hosts too, since any of them may answer."""
    assert not is_local(host)


@pytest.mark.parametrize(("dsn", "shown"), [(DSN, "db.example:6543"), ("dbname=lift", "localhost:5432")])
def test_a_target_is_shown_without_secrets(dsn: str, shown: str) -> None:
    """Host and port, those of libpq where left out."""
    assert str(Target.of("DATABASE_URL", dsn)) == shown
    assert "hunter2" not in repr(Target.of("DATABASE_URL", dsn))


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        # servers behind hosts of which tests cannot have one
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.9", user "app", database "lift", no encryption', "pg_hba.conf has no entry"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.9", user "app", database "lift", SSL encryption', "pg_hba.conf has no entry"),
        ("FATAL:  Tenant or user not found", "refuses the login or its password"),
        ('root certificate file "/home/app/.postgresql/root.crt" does not exist', "TLS failed"),
        ("SSL error: certificate verify failed", "TLS failed"),
        ("FATAL:  sorry, too many clients already", "no connection left"),
        ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", "no connection left"),
        ("FATAL:  the database system is starting up", "starting or stopping"),
        ('FATAL:  database "lift" does not exist', "no database 'lift'"),
        ("FATAL:  no such database: lift", "no database 'lift'"),
    ],
)
def test_what_a_server_said_is_explained(said: str, cause: str) -> None:
    """In words that lead to the mending, with the place that was tried."""
    finding = explain("user.connection", DSN, TARGET, psycopg.OperationalError(said))
    assert (finding.name, finding.state) == ("user.connection", State.FAIL)
    assert finding.found.startswith("db.example:6543 as app: ")
    assert cause in finding.found
    assert finding.mend


def test_a_password_is_never_repeated() -> None:
    """Even where a server would."""
    finding = explain("user.connection", DSN, TARGET, psycopg.OperationalError("who is hunter2?\nmore"))
    assert finding.found == "db.example:6543 as app: who is ***?"


def test_a_grant_quotes_its_names() -> None:
    """They may be anything."""
    target = Target.of("DATABASE_URL", 'user=my"app dbname=my-lift')
    finding = explain("user.connection", "", target, psycopg.OperationalError('FATAL:  permission denied for database "my-lift"'))
    assert finding.sql == ('grant connect on database "my-lift" to "my""app";',)
