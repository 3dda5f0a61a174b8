"""A Prometheus that scrapes this service: the program of the Debian package, with its data in a folder of ours."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Final, Self
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from lift_store.local.process import LocalError, free_port, spawn, stop, tail

_START_TIMEOUT: Final = 30.0
_STOP_TIMEOUT: Final = 10.0


def installed() -> str | None:
    """Return where the program prometheus is, or None."""
    return shutil.which("prometheus")


class LocalPrometheus:
    """A server on 127.0.0.1, from `with` to its end, scraping *targets* (host:port) under *job* every *interval*.

    *port* 0 takes any free one. It keeps 35 days, as much as the 30-day budgets look back on, and exemplars. Raises LocalError.
    """

    def __init__(self, data_dir: Path, targets: Sequence[str], *, port: int = 0, job: str = "lift-store", interval: str = "5s") -> None:
        self._root = data_dir.absolute() / "prometheus"
        self._log = self._root / "prometheus.log"
        self._config = {
            "global": {"scrape_interval": interval, "evaluation_interval": interval},
            "scrape_configs": [{"job_name": job, "static_configs": [{"targets": list(targets)}]}],
        }
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        program = installed()
        if program is None:
            raise LocalError("prometheus is not installed; on Debian: apt-get install --no-install-recommends prometheus")
        self._root.mkdir(parents=True, exist_ok=True)
        file = self._root / "prometheus.yml"
        file.write_text(json.dumps(self._config, indent=2) + "\n", "utf-8")  # JSON is YAML
        self._port = self._port or free_port()
        self._process = spawn(
            [
                program,
                f"--config.file={file}",
                f"--storage.tsdb.path={self._root / 'data'}",
                "--storage.tsdb.retention.time=35d",
                "--enable-feature=exemplar-storage",
                f"--web.listen-address=127.0.0.1:{self._port}",
            ],
            self._log,
        )
        self._wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process:
            stop(self._process, signal.SIGTERM, timeout=_STOP_TIMEOUT)

    def query(self, promql: str) -> list[dict[str, Any]]:
        """Return the instant vector of *promql* as the API's `result`."""
        with urlopen(f"{self.url}/api/v1/query?{urlencode({'query': promql})}", timeout=10) as answer:  # noqa: S310 - our own loopback URL
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return result

    def _wait(self) -> None:
        process, deadline = self._process, monotonic() + _START_TIMEOUT
        while process and process.poll() is None and monotonic() < deadline:
            try:
                urlopen(f"{self.url}/-/ready", timeout=1).close()  # noqa: S310 - our own loopback URL
            except (URLError, OSError):
                sleep(0.05)  # until it listens
            else:
                return
        self.__exit__(None, None, None)
        raise LocalError(f"Prometheus did not start: {tail(self._log)}")
