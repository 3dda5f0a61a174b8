"""A bad configuration stops the start with one line that names the variable, never its value, and exit code 1."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lift_store.cli import main
from lift_store.settings import Settings
from tests.e2e.test_up import PROGRAM

SECRET = "hunter2"  # noqa: S105 - stands in bad values, and must not come back
GOOD = {"SUPABASE_JWT_SECRET": "s" * 32, "DATABASE_URL": "postgresql://user:pw@host/db"}
NAMES = [str(field.validation_alias) for field in Settings.model_fields.values()]

BAD_DSNS = [
    SECRET,
    f"mysql://user:{SECRET}@host/db",
    f"postgresql://user:{SECRET}@host:abc/db",
    f"postgresql://user:{SECRET}@host:65536/db",
    f"postgresql://user:{SECRET}@host:5432,other:0/db",
    f"postgresql://user:{SECRET}%zz@host/db",
    f"postgresql://user:{SECRET}@host/db?sslmod=require",
    f"password={SECRET} hots=db.example",
]
MALFORMED = {
    "DATABASE_URL": BAD_DSNS,
    "LIFT_STORE_OPERATOR_DATABASE_URL": BAD_DSNS,
    "LIFT_STORE_BACKEND": ["sqlite", "Postgres"],
    "SUPABASE_URL": ["project.supabase.co", "ftp://host", "https://", "https://host:0x1", "https://host/rest/v1", "https://host?x=1"],
    "SUPABASE_KEY": [f"{SECRET}\n", f"two {SECRET}s", f"{SECRET}ü"],
    "SUPABASE_JWT_SECRET": [SECRET, "s" * 31],
    "LIFT_STORE_JWKS_URL": ["ftp://host/keys", "https:///keys", "https://host/a b", "https://host:65536/keys"],
    "LIFT_STORE_JWT_ISSUER": ["https://host/auth/v1\n", " mine"],
    "LIFT_STORE_JWT_AUDIENCE": ["authenticated\n", "authen\tticated"],
    "LIFT_STORE_OPERATOR_TOKEN": [SECRET, "t" * 15],
    "LIFT_STORE_HOST": ["http://0.0.0.0", "local host"],
    "LIFT_STORE_PORT": ["65536", "-1", "http", "80.5"],
    "LIFT_STORE_OPERATOR_HOST": ["http://0.0.0.0", "127.0.0.1/8"],
    "LIFT_STORE_OPERATOR_PORT": ["65536", "no"],
    "LIFT_STORE_POOL_MIN_SIZE": ["-1", "1001", "two"],
    "LIFT_STORE_POOL_MAX_SIZE": ["0", "1001", "1e99"],
    "LIFT_STORE_POOL_MAX_WAITING": ["0", "100001"],
    "LIFT_STORE_PREPARED_STATEMENTS": ["maybe"],
    "LIFT_STORE_POOL_ACQUIRE_TIMEOUT": ["nan", "0", "3601", "2s"],
    "LIFT_STORE_OPERATION_TIMEOUT": ["0", "-1", "inf", "5s"],
    "LIFT_STORE_HEALTH_TIMEOUT": ["-1", "soon"],
    "LIFT_STORE_DRAIN_DELAY": ["-1", "3601", "nan"],
    "LIFT_STORE_DRAIN_TIMEOUT": ["inf", "0"],
    "LIFT_STORE_MAX_BODY_BYTES": ["1", "1073741825", "2MB"],
    "LIFT_STORE_LOG_FORMAT": ["xml", "JSON"],
    "LIFT_STORE_DATA_DIR": [__file__],
}
REQUIRED = ("DATABASE_URL", "SUPABASE_JWT_SECRET")
CONTRADICTIONS = {
    "SUPABASE_URL is missing: it takes the project's URL": {"SUPABASE_KEY": SECRET},
    "SUPABASE_URL is missing": {"LIFT_STORE_BACKEND": "supabase"},
    "SUPABASE_KEY is missing": {"LIFT_STORE_BACKEND": "supabase", "SUPABASE_URL": "https://host"},
    "DATABASE_URL is missing": {
        "LIFT_STORE_BACKEND": "postgres",
        "SUPABASE_URL": "https://host",
        "SUPABASE_KEY": SECRET,
        "DATABASE_URL": "",
    },
    "LIFT_STORE_JWKS_URL contradicts SUPABASE_JWT_SECRET": {"LIFT_STORE_JWKS_URL": "https://host/keys"},
    "LIFT_STORE_OPERATOR_DATABASE_URL takes a login of its own": {"LIFT_STORE_OPERATOR_DATABASE_URL": f"user=user password={SECRET}"},
    "LIFT_STORE_POOL_ACQUIRE_TIMEOUT takes at most LIFT_STORE_OPERATION_TIMEOUT, which is 1": {"LIFT_STORE_OPERATION_TIMEOUT": "1"},
    "LIFT_STORE_POOL_MIN_SIZE takes at most LIFT_STORE_POOL_MAX_SIZE, which is 10": {"LIFT_STORE_POOL_MIN_SIZE": "11"},
    "LIFT_STORE_OPERATOR_PORT takes a port of its own: 8000 is LIFT_STORE_PORT": {"LIFT_STORE_OPERATOR_PORT": "8000"},
}


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> pytest.MonkeyPatch:
    """Give an environment with nothing of ours but what suffices, and the command line of `serve`."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["lift-store", "serve"])
    capsys.readouterr()
    return monkeypatch


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """Run the command; return the one line of its refusal."""
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (1, "")
    assert printed.err.endswith("\n")
    assert printed.err.count("\n") == 1
    assert SECRET not in printed.err
    return printed.err


def test_every_variable_has_its_cases() -> None:
    """A new variable without a bad value here is noticed."""
    assert list(MALFORMED) == NAMES


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in MALFORMED.items() for value in values])
def test_a_malformed_value_is_named_with_what_it_takes(
    serve: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    """Whatever is wrong with it; the value itself stays out, since a secret in the wrong variable is one still."""
    takes = next(str(field.description) for field in Settings.model_fields.values() if field.validation_alias == name)
    serve.setenv(name, value)
    assert refusal(capsys) == f"lift-store: {name} is not valid: it takes {takes}\n"


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_variable_is_named(serve: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """With what it takes, and what to set instead; an empty one is missing too."""
    serve.setenv(name, "")
    empty = refusal(capsys)
    serve.delenv(name)
    assert refusal(capsys) == empty
    assert empty.startswith(f"lift-store: {name} is missing: it takes ")
    assert "(or set " in empty


@pytest.mark.usefixtures("serve")
def test_every_other_variable_may_be_missing() -> None:
    """They have defaults, or are off."""
    assert {str(Settings.model_fields[name].validation_alias) for name in Settings.load().model_fields_set} == set(REQUIRED)


@pytest.mark.parametrize(("line", "changes"), CONTRADICTIONS.items())
def test_a_contradiction_is_named(
    serve: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, changes: dict[str, str]
) -> None:
    """Two values that cannot both hold."""
    for name, value in changes.items():
        serve.setenv(name, value)
    assert refusal(capsys).startswith(f"lift-store: {line}")


def test_a_folder_that_cannot_be_looked_at_is_none(serve: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Such as one with a name that is too long."""
    serve.setenv("LIFT_STORE_DATA_DIR", "/" + "x" * 5000)
    assert refusal(capsys).startswith("lift-store: LIFT_STORE_DATA_DIR is not valid")


@pytest.mark.parametrize(
    "changes",
    [{"DATABASE_URL": BAD_DSNS[2]}, {"SUPABASE_JWT_SECRET": SECRET}, {"LIFT_STORE_OPERATOR_PORT": "8000"}, {"DATABASE_URL": ""}],
    ids=["malformed", "secret", "contradiction", "missing"],
)
def test_the_program_itself_ends_so(changes: dict[str, str]) -> None:
    """As the shell sees it: no traceback, nothing on standard output, exit code 1."""
    environment = {"PATH": os.environ["PATH"], "LIFT_STORE_PORT": "8000"} | GOOD | changes
    ended = subprocess.run([PROGRAM, "serve"], env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert next(reversed(changes)) in ended.stderr
    assert SECRET not in ended.stderr
