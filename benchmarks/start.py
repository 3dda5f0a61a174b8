"""How long `lift-store up` takes on a data directory that it has made before, from the command to the first `ready`.

    python benchmarks/start.py [--rounds 5] [--json FILE]

PostgreSQL, migrations that are there already, the API, the operator port and Prometheus. The baseline is the least that a Python service
on the same libraries takes: importing them.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter, sleep
from urllib.error import URLError
from urllib.request import urlopen

from lift_store.local.process import free_port

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.report import Result, options, report

PROGRAM = Path(sys.executable).parent / "lift-store"
IMPORTS = (
    "import fastapi, uvicorn, psycopg_pool, prometheus_client, jwt.algorithms, structlog, httpx, typer, rich.console, pydantic_settings"
)


def start(folder: Path) -> float:
    """Run `up` until it is ready, then end it as Ctrl-C does; return the seconds that it took to be ready."""
    ports = {option: str(free_port()) for option in ("--port", "--operator-port", "--prometheus-port")}
    command = [str(PROGRAM), "up", "--data-dir", str(folder), *(part for pair in ports.items() for part in pair)]
    with (folder.parent / "up.log").open("ab") as log:
        started = perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: S603 - our own program
    try:
        wait_for(f"http://127.0.0.1:{ports['--port']}/health/ready", process)
        return perf_counter() - started
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until it answers 200."""
    deadline = monotonic() + 60
    while process.poll() is None and monotonic() < deadline:
        try:
            urlopen(url, timeout=1).close()  # noqa: S310 - loopback
        except (URLError, OSError):
            sleep(0.005)
        else:
            return
    raise SystemExit(f"up was not ready; see its log: exit code {process.poll()}")


def imports() -> float:
    """Return the seconds that a Python takes to import the libraries."""
    started = perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)  # noqa: S603 - our own program
    return perf_counter() - started


def main() -> None:
    """Measure, and say how it went."""
    parser = options(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=5, help="starts (default 5); the first, which makes the data, is another")
    chosen = parser.parse_args()
    with TemporaryDirectory() as made:
        Path(made).chmod(0o711)  # for root, whose PostgreSQL runs as an account of its own
        folder = Path(made) / "data"
        first = start(folder)
        base = statistics.median(imports() for _ in range(chosen.rounds))
        taken = statistics.median(start(folder) for _ in range(chosen.rounds))
    report([Result("start to ready", base, taken, "s", taken, "s", "under 2 s", taken < 2)], chosen.json, first_start_s=first)


if __name__ == "__main__":
    main()
