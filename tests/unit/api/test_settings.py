"""Settings: one line for each thing that is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from lift_store.protocol import Backend
from lift_store.settings import Settings, SettingsError

SECRET = "s" * 32
GOOD = {"SUPABASE_JWT_SECRET": SECRET, "DATABASE_URL": "postgresql://user:hunter2@host/db"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Give an environment with nothing of ours but what suffices."""
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.validation_alias), raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def refusal(**overrides: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.load(**overrides)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.mark.usefixtures("environment")
def test_defaults_are_loopback_and_postgres() -> None:
    """With a database and a secret the service starts, reachable from this machine only."""
    settings = Settings.load()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert (settings.operator_host, settings.operator_port) == ("127.0.0.1", 9464)
    assert settings.backend is Backend.POSTGRES
    assert settings.max_body_bytes == 2 * 2**20
    assert "hunter2" not in repr(settings)
    assert SECRET not in repr(settings)


def test_overrides_win_over_the_environment(environment: pytest.MonkeyPatch) -> None:
    """A command-line option is stronger than a variable."""
    environment.setenv("LIFT_STORE_PORT", "81")
    assert Settings.load().port == 81
    assert Settings.load(port=82).port == 82


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "hunter2"),
        ("LIFT_STORE_BACKEND", "sqlite"),
        ("SUPABASE_URL", "project.supabase.co"),
        ("SUPABASE_JWT_SECRET", "hunter2"),
        ("LIFT_STORE_JWKS_URL", "ftp://host/keys"),
        ("LIFT_STORE_OPERATOR_TOKEN", "hunter2"),
        ("LIFT_STORE_PORT", "65536"),
        ("LIFT_STORE_OPERATOR_PORT", "no"),
        ("LIFT_STORE_POOL_MIN_SIZE", "-1"),
        ("LIFT_STORE_POOL_MAX_SIZE", "0"),
        ("LIFT_STORE_POOL_MAX_WAITING", "0"),
        ("LIFT_STORE_POOL_ACQUIRE_TIMEOUT", "nan"),
        ("LIFT_STORE_OPERATION_TIMEOUT", "0"),
        ("LIFT_STORE_HEALTH_TIMEOUT", "-1"),
        ("LIFT_STORE_DRAIN_DELAY", "-1"),
        ("LIFT_STORE_DRAIN_TIMEOUT", "inf"),
        ("LIFT_STORE_MAX_BODY_BYTES", "1"),
        ("LIFT_STORE_LOG_FORMAT", "xml"),
    ],
)
def test_a_bad_value_is_named_and_not_shown(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    """One line names the variable and what it takes; the value stays out of it, since it may be a secret."""
    environment.setenv(name, value)
    text = refusal()
    assert text.startswith(f"{name} is not valid: it takes ")
    assert "hunter2" not in text


def test_a_missing_database_is_no_silent_memory(environment: pytest.MonkeyPatch) -> None:
    """`auto` without DATABASE_URL refuses to start, and says how to ask for memory."""
    environment.delenv("DATABASE_URL")
    assert refusal().startswith("DATABASE_URL is missing: it takes ")
    assert refusal(backend_choice="postgres").startswith("DATABASE_URL is missing")
    assert Settings.load(backend_choice="memory").backend is Backend.MEMORY


def test_an_empty_value_is_a_missing_one(environment: pytest.MonkeyPatch) -> None:
    """A variable that a container's template left empty counts as not set."""
    environment.setenv("DATABASE_URL", "")
    assert refusal().startswith("DATABASE_URL is missing")


def test_tokens_need_a_secret_or_a_key_set(environment: pytest.MonkeyPatch) -> None:
    """Without either no caller could be verified, so the service does not start."""
    environment.delenv("SUPABASE_JWT_SECRET")
    assert refusal().startswith("SUPABASE_JWT_SECRET is missing")
    environment.setenv("SUPABASE_URL", "https://project.supabase.co/")
    settings = Settings.load()
    assert settings.key_set_url == "https://project.supabase.co/auth/v1/.well-known/jwks.json"
    assert settings.issuer == "https://project.supabase.co/auth/v1"


def test_a_secret_is_stronger_than_the_projects_key_set(environment: pytest.MonkeyPatch) -> None:
    """A project's URL beside its secret means HS256, checked for the project's issuer."""
    environment.setenv("SUPABASE_URL", "https://project.supabase.co")
    assert Settings.load().key_set_url is None
    assert Settings.load().issuer == "https://project.supabase.co/auth/v1"
    assert Settings.load(jwt_issuer="mine").issuer == "mine"
    assert Settings.load(jwt_issuer=None).issuer is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"LIFT_STORE_JWKS_URL": "https://host/keys"}, "LIFT_STORE_JWKS_URL contradicts SUPABASE_JWT_SECRET"),
        ({"LIFT_STORE_POOL_MIN_SIZE": "11"}, "LIFT_STORE_POOL_MIN_SIZE takes at most LIFT_STORE_POOL_MAX_SIZE"),
        ({"LIFT_STORE_OPERATOR_PORT": "8000"}, "LIFT_STORE_OPERATOR_PORT takes a port of its own"),
    ],
)
def test_a_contradiction_is_named(environment: pytest.MonkeyPatch, changes: dict[str, str], named: str) -> None:
    """Two values that cannot both hold stop the start."""
    for name, value in changes.items():
        environment.setenv(name, value)
    assert refusal().startswith(named)


@pytest.mark.usefixtures("environment")
def test_an_unknown_override_is_refused() -> None:
    """A mistyped option of the program is an error, not ignored."""
    assert refusal(prot=1) == "prot is no setting of this service"


def test_a_user_without_home_has_no_data_dir(environment: pytest.MonkeyPatch) -> None:
    """A container's nameless user can start the service; keys are then kept in memory only."""

    def homeless() -> None:
        raise RuntimeError

    environment.setattr("pathlib.Path.home", homeless)
    assert Settings.load().data_dir is None
