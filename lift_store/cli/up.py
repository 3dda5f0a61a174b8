"""`lift-store up`: everything on this machine, with one command."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn
from uuid import UUID

import typer
from rich.console import Console

from lift_store.api.serve import run
from lift_store.cli.options import DEFAULT_URL, DataDir
from lift_store.local import prometheus, supabase
from lift_store.local.process import LocalError
from lift_store.local.stack import LocalStack, default_data_dir
from lift_store.local.token import mint
from lift_store.settings import BackendChoice, Settings

_DEMO_USER = UUID("00000000-0000-4000-8000-000000000001")
_SESSION = '{"revisions": [{"content": "def add(a, b):", "revision_type": "initial"}]}'


def up(
    data_dir: DataDir = None,
    port: Annotated[int, typer.Option(help="Port of the API.")] = 8000,
    operator_port: Annotated[int, typer.Option(help="Port of /metrics, /status and /health with details.")] = 9464,
    prometheus_port: Annotated[int, typer.Option(help="Port of Prometheus.")] = 9090,
    with_prometheus: Annotated[bool, typer.Option("--prometheus/--no-prometheus", help="Start Prometheus where it is installed.")] = True,
    with_supabase: Annotated[bool, typer.Option("--supabase", help="Reach the database through Supabase Lite, as on Supabase.")] = False,
    supabase_port: Annotated[int, typer.Option(help="Port of Supabase Lite.")] = 54321,
) -> None:
    """Run everything on this machine: PostgreSQL, migrations, the API, and Prometheus where installed. Ctrl-C stops all.

    With --supabase the API works as it does on a Supabase project, without an account: Supabase Lite, which needs Node.js, runs on the
    same database, and is installed from npm into the data directory the first time.

    Example: lift-store up --port 8080

    Exit code 0 after Ctrl-C; 1 where something could not be started.
    """
    signal.signal(signal.SIGTERM, _stop)  # until the service takes over, so that what was started is stopped
    folder = data_dir or default_data_dir()
    scraper = prometheus.installed() if with_prometheus else None
    ports = {"--port": port, "--operator-port": operator_port}
    ports |= {"--prometheus-port": prometheus_port} if scraper else {}
    ports |= {"--supabase-port": supabase_port} if with_supabase else {}
    for option, number in ports.items():
        _require_free(number, option)
    console = Console(stderr=True)
    with ExitStack() as stack:
        with console.status(f"Starting PostgreSQL in {folder} ..."):
            local = stack.enter_context(LocalStack(folder))
        if local.migrated:
            console.print(f"Applied {len(local.migrated)} migrations.")
        project = _supabase(stack, console, local, folder, supabase_port) if with_supabase else None
        scraped = None
        if scraper:
            target = f"127.0.0.1:{operator_port}"
            scraped = stack.enter_context(prometheus.LocalPrometheus(folder, [target], port=prometheus_port)).url
        settings = _settings(local, project, folder, port, operator_port)
        banner = _banner(local, project, folder, settings, scraped)
        asyncio.run(run(settings, on_ready=lambda: print(banner, flush=True)))  # noqa: T201 - to be pasted, so not wrapped
    console.print("Stopped.")


def _stop(_: int, __: FrameType | None) -> NoReturn:
    sys.exit(0)


def _require_free(port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            raise LocalError(f"port {port} of 127.0.0.1 cannot be had; choose another with {option}") from None


def _supabase(stack: ExitStack, console: Console, local: LocalStack, folder: Path, port: int) -> supabase.LocalSupabase:
    """Start Supabase Lite on the database of *local* until *stack* ends."""
    programs = folder / "supabase-lite"
    with console.status(f"Looking for Supabase Lite in {programs}; installing it from npm takes a minute, the first time ..."):
        supabase.install(programs)
    project = supabase.LocalSupabase(folder / "supabase", local.admin_dsn, programs=programs, jwt_secret=local.jwt_secret, port=port)
    with console.status("Starting Supabase Lite ..."):
        return stack.enter_context(project)


def _settings(local: LocalStack, project: supabase.LocalSupabase | None, folder: Path, port: int, operator_port: int) -> Settings:
    """Everything that `up` decides wins over the environment; the rest, such as timeouts, may be set there."""
    return Settings.load(
        backend_choice=BackendChoice.SUPABASE if project else BackendChoice.POSTGRES,
        database_url=None if project else local.app_dsn,
        supabase_url=project.url if project else None,
        supabase_key=project.publishable_key if project else None,
        jwt_secret=local.jwt_secret,
        jwks_url=None,
        jwt_issuer=None,  # Lite's own tokens name none, and neither do ours
        host="127.0.0.1",
        port=port,
        operator_host="127.0.0.1",
        operator_port=operator_port,
        data_dir=folder,
    )


def _loadgen(folder: Path, url: str) -> str:
    """Return a command that works as pasted: with our own path where that is not the one that the shell would find."""
    program = "lift-store" if shutil.which("lift-store") == sys.argv[0] else sys.argv[0]
    where = "" if folder == default_data_dir() else f" --data-dir {shlex.quote(str(folder))}"
    address = "" if url == DEFAULT_URL else f" --url {url}"
    return f"{shlex.quote(program)} loadgen --users 20 --duration 30s{address}{where}"


def _banner(local: LocalStack, project: supabase.LocalSupabase | None, folder: Path, settings: Settings, scraped: str | None) -> str:
    token = mint(local.jwt_secret, _DEMO_USER)
    url = f"http://127.0.0.1:{settings.port}"
    install = "not installed; on Debian: apt-get install --no-install-recommends prometheus"
    rest = f"\n  Supabase    {project.url}/rest/v1   (publishable key: {project.publishable_key})" if project else ""
    return f"""
  API         {url}/api/sessions   (documentation: {url}/docs){rest}
  Operators   http://127.0.0.1:{settings.operator_port}/metrics, /status, /health
  Prometheus  {scraped or install}
  Data        {folder}

Store a session, as a demonstration user (the token is valid for 12 hours):

curl -sS {url}/api/sessions -H 'Content-Type: application/json' -H 'Authorization: Bearer {token}' -d '{_SESSION}'

Work on it as many users would:

{_loadgen(folder, url)}

Ctrl-C stops everything; the data stays.
"""
