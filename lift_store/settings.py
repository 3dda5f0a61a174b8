"""What the environment says, checked before anything starts.

`Settings.load()` either returns settings that belong together or raises `SettingsError` with one line:
the variable, and what it takes.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from lift_store.models import MAX_JSON_BYTES
from lift_store.protocol import Backend

MIN_SECRET_BYTES: Final = 32
"""RFC 7518 section 3.2: an HS256 key is at least as long as its hash."""
MIN_TOKEN_LENGTH: Final = 16
_JWKS_PATH: Final = "/auth/v1/.well-known/jwks.json"
_ISSUER_PATH: Final = "/auth/v1"
_MAX_PORT: Final = 65535


class SettingsError(Exception):
    """A variable is missing, bad or contradicts another: one line that names it, and never a secret's value."""


class BackendChoice(StrEnum):
    """Values of LIFT_STORE_BACKEND; `auto` is Supabase where its URL and key are set, else PostgreSQL, and never memory in silence."""

    AUTO = "auto"
    SUPABASE = "supabase"
    POSTGRES = "postgres"
    MEMORY = "memory"


def _postgres_url(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    try:
        ports = str(conninfo_to_dict(text).get("port") or "").split(",")
    except psycopg.Error:  # quotes what it cannot parse, which may be the password
        raise ValueError from None
    if any(port and not 1 <= int(port) <= _MAX_PORT for port in ports):
        raise ValueError
    return value


def _web_url(value: str) -> str:
    url = urlsplit(value)
    if url.scheme not in {"https", "http"} or not url.hostname or any(character.isspace() for character in value):
        raise ValueError
    _ = url.port  # raises ValueError where it is no number, or too great
    return value.rstrip("/")


def _bare_web_url(value: str) -> str:
    url = urlsplit(value)
    if url.path.strip("/") or url.query or url.fragment:  # the dashboard's page, or the URL of its REST API
        raise ValueError
    return value


def _plain(value: str) -> str:
    if value != value.strip() or not value.isprintable():  # such as the newline that a file ends with: nothing would ever match
        raise ValueError
    return value


def _host(value: str) -> str:
    if "/" in value or any(character.isspace() for character in value):
        raise ValueError
    return value


def _folder(value: Path) -> Path:
    try:
        usable = value.is_dir() or not value.exists()
    except OSError:  # a folder above it is closed to us
        usable = False
    if not usable:
        raise ValueError
    return value


def _at_least(length: int) -> AfterValidator:
    def check(value: SecretStr) -> SecretStr:
        if len(value.get_secret_value().encode()) < length:
            raise ValueError
        return value

    return AfterValidator(check)


def _key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:  # it is a header's value
        raise ValueError
    return value


def _user_data_dir() -> Path | None:
    try:
        return Path.home() / ".local" / "share" / "lift-store"
    except RuntimeError:  # a container's nameless user has no home; keys are then kept in memory only
        return None


PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres_url)]
WebUrl = Annotated[str, AfterValidator(_web_url)]
ProjectUrl = Annotated[WebUrl, AfterValidator(_bare_web_url)]
Key = Annotated[SecretStr, AfterValidator(_key)]
Text = Annotated[str, AfterValidator(_plain)]
Host = Annotated[str, AfterValidator(_host)]
Folder = Annotated[Path, AfterValidator(_folder)]
Port = Annotated[int, Field(ge=0, le=_MAX_PORT)]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


def _variable(name: str, takes: str, default: Any = None, **options: Any) -> Any:
    """Describe one variable; *takes* ends the sentence "NAME takes ..."."""
    if "default_factory" not in options:
        options["default"] = default
    return Field(validation_alias=name, description=takes, **options)


class Settings(BaseSettings):
    """Every variable that the service reads. An empty one counts as missing; all times are in seconds."""

    model_config = SettingsConfigDict(
        frozen=True, env_ignore_empty=True, case_sensitive=True, populate_by_name=True, hide_input_in_errors=True
    )

    database_url: PostgresUrl | None = _variable(
        "DATABASE_URL", "the connection string of the user path, such as postgresql://user:password@host:5432/database"
    )
    operator_database_url: PostgresUrl | None = _variable(
        "LIFT_STORE_OPERATOR_DATABASE_URL", "the connection string of the operator's login; not that of the user path"
    )
    backend_choice: BackendChoice = _variable("LIFT_STORE_BACKEND", "auto, supabase, postgres or memory", BackendChoice.AUTO)

    supabase_url: ProjectUrl | None = _variable("SUPABASE_URL", "the project's URL, such as https://project.supabase.co")
    supabase_key: Key | None = _variable("SUPABASE_KEY", "the project's publishable key (or its legacy anon key)")
    jwt_secret: Annotated[SecretStr, _at_least(MIN_SECRET_BYTES)] | None = _variable(
        "SUPABASE_JWT_SECRET", f"the project's HS256 secret, of at least {MIN_SECRET_BYTES} bytes"
    )
    jwks_url: WebUrl | None = _variable("LIFT_STORE_JWKS_URL", "the http(s) URL of a JSON Web Key Set")
    jwt_issuer: Text | None = _variable("LIFT_STORE_JWT_ISSUER", "the `iss` that tokens must have")
    jwt_audience: Text = _variable("LIFT_STORE_JWT_AUDIENCE", "the `aud` that tokens must have", "authenticated")

    operator_token: Annotated[SecretStr, _at_least(MIN_TOKEN_LENGTH)] | None = _variable(
        "LIFT_STORE_OPERATOR_TOKEN", f"the operators' bearer token, of at least {MIN_TOKEN_LENGTH} bytes"
    )
    host: Host = _variable("LIFT_STORE_HOST", "the address that the API listens on", "127.0.0.1")
    port: Port = _variable("LIFT_STORE_PORT", "a port from 0 (any free one) to 65535", 8000)
    operator_host: Host = _variable("LIFT_STORE_OPERATOR_HOST", "the address that operators reach", "127.0.0.1")
    operator_port: Port = _variable("LIFT_STORE_OPERATOR_PORT", "a port from 0 (any free one) to 65535", 9464)

    pool_min_size: int = _variable("LIFT_STORE_POOL_MIN_SIZE", "a number from 0 to 1000", 2, ge=0, le=1000)
    pool_max_size: int = _variable("LIFT_STORE_POOL_MAX_SIZE", "a number from 1 to 1000", 10, ge=1, le=1000)
    pool_max_waiting: int = _variable("LIFT_STORE_POOL_MAX_WAITING", "a number from 1 to 100000", 200, ge=1, le=100_000)
    prepared_statements: bool = _variable(
        "LIFT_STORE_PREPARED_STATEMENTS",
        "true or false; false behind a transaction pooler that lacks them, such as PgBouncer before 1.22",
        default=True,
    )
    acquire_timeout: Seconds = _variable("LIFT_STORE_POOL_ACQUIRE_TIMEOUT", "seconds, above 0 and up to 3600", 2.0)
    operation_timeout: Seconds = _variable("LIFT_STORE_OPERATION_TIMEOUT", "seconds, above 0 and up to 3600", 5.0)
    health_timeout: Seconds = _variable("LIFT_STORE_HEALTH_TIMEOUT", "seconds, above 0 and up to 3600", 2.0)
    drain_delay: float = _variable(
        "LIFT_STORE_DRAIN_DELAY",
        "seconds from 0 to 3600 between not ready and closing the listeners, the interval of the load balancer's probe",
        0.0,
        ge=0,
        le=3600,
        allow_inf_nan=False,
    )
    drain_timeout: Seconds = _variable("LIFT_STORE_DRAIN_TIMEOUT", "seconds, above 0 and up to 3600", 10.0)

    max_body_bytes: int = _variable("LIFT_STORE_MAX_BODY_BYTES", "bytes, from 1024 to 1073741824", 2 * MAX_JSON_BYTES, ge=1024, le=2**30)
    log_format: Literal["json", "console", "auto"] = _variable("LIFT_STORE_LOG_FORMAT", "json, console or auto", "auto")
    data_dir: Folder | None = _variable("LIFT_STORE_DATA_DIR", "a folder that the service may write to", default_factory=_user_data_dir)

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment; *overrides* (by field name) win over it. SettingsError says what is wrong."""
        try:
            settings = cls(**overrides)
        except ValidationError as error:
            # `from None`: pydantic's own report would print below ours, and has the values
            raise SettingsError(_explain(error)) from None
        settings.check()
        return settings

    @property
    def backend(self) -> Backend:
        """The backend that the store is built on."""
        if self.backend_choice is BackendChoice.AUTO:
            return Backend.SUPABASE if self.supabase_url and self.supabase_key else Backend.POSTGRES
        return Backend(self.backend_choice)

    @property
    def key_set_url(self) -> str | None:
        """Where the keys of tokens are found; None: tokens are signed with the secret."""
        if self.jwt_secret:
            return None
        return self.jwks_url or (self.supabase_url + _JWKS_PATH if self.supabase_url else None)

    @property
    def issuer(self) -> str | None:
        """The `iss` that tokens must have; a Supabase project's own unless set, None, which only a caller of ours can set: not checked."""
        if "jwt_issuer" in self.model_fields_set or not self.supabase_url:
            return self.jwt_issuer
        return self.supabase_url + _ISSUER_PATH

    def check(self) -> None:
        """Raise SettingsError where two values contradict each other, or one that another needs is missing."""
        problem = self._missing() or self._contradiction()
        if problem:
            raise SettingsError(problem)

    def _missing(self) -> str | None:
        if self.supabase_key and not self.supabase_url:
            return f"SUPABASE_URL is missing: it takes {_takes('supabase_url')}, whose key SUPABASE_KEY is"
        if self.backend is Backend.SUPABASE:
            for field in ("supabase_url", "supabase_key"):
                if not getattr(self, field):
                    return f"{field.upper()} is missing: it takes {_takes(field)} (or set LIFT_STORE_BACKEND=postgres)"
        if self.backend is Backend.POSTGRES and not self.database_url:
            instead = "SUPABASE_KEY, or LIFT_STORE_BACKEND=memory" if self.supabase_url else "LIFT_STORE_BACKEND=memory"
            return f"DATABASE_URL is missing: it takes {_takes('database_url')} (or set {instead})"
        if not self.jwt_secret and not self.key_set_url:
            instead = "SUPABASE_URL or LIFT_STORE_JWKS_URL"
            return f"SUPABASE_JWT_SECRET is missing: it takes {_takes('jwt_secret')} (or set {instead})"
        return None

    def _contradiction(self) -> str | None:
        if self.jwks_url and self.jwt_secret:
            return "LIFT_STORE_JWKS_URL contradicts SUPABASE_JWT_SECRET: tokens are signed one way, so set one of them"
        if self.database_url and self.operator_database_url and _login(self.database_url) == _login(self.operator_database_url):
            return "LIFT_STORE_OPERATOR_DATABASE_URL takes a login of its own: this one is that of DATABASE_URL"
        if self.acquire_timeout > self.operation_timeout:
            return f"LIFT_STORE_POOL_ACQUIRE_TIMEOUT takes at most LIFT_STORE_OPERATION_TIMEOUT, which is {self.operation_timeout:g}"
        if self.pool_min_size > self.pool_max_size:
            return f"LIFT_STORE_POOL_MIN_SIZE takes at most LIFT_STORE_POOL_MAX_SIZE, which is {self.pool_max_size}"
        if self.port and (self.host, self.port) == (self.operator_host, self.operator_port):
            return f"LIFT_STORE_OPERATOR_PORT takes a port of its own: {self.port} is LIFT_STORE_PORT"
        return None


def _login(url: SecretStr) -> object:
    return conninfo_to_dict(url.get_secret_value()).get("user")


def _takes(field: str) -> str:
    return str(Settings.model_fields[field].description)


def _explain(error: ValidationError) -> str:
    """Name the first variable at fault and what it takes; not its value, which may be a misplaced secret."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    named = str(first["loc"][0]) if first["loc"] else "?"
    for name, field in Settings.model_fields.items():
        if named in (name, field.validation_alias):
            return f"{field.validation_alias} is not valid: it takes {field.description}"
    return f"{named} is no setting of this service"
