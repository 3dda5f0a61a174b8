"""A real PgBouncer in transaction mode, before a server of the tests."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from psycopg.conninfo import make_conninfo

from lift_store.local.postgres import LocalPostgres
from lift_store.local.process import LocalError, free_port, spawn, stop, tail, unprivileged
from tests.servers import PASSWORD

_CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
"""


@contextmanager
def pgbouncer(server: LocalPostgres) -> Iterator[int]:
    """Give the port of a pooler that shares four connections a database among all its clients: one transaction each in turn."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
    if program is None:
        raise LocalError("pgbouncer is missing; on Debian: apt-get install --no-install-recommends pgbouncer")
    with tempfile.TemporaryDirectory(prefix="lift-store-pgbouncer-") as made:
        folder, port = Path(made), free_port()
        folder.chmod(0o755)  # its account, where we are root, is another
        users, configuration = folder / "users.txt", folder / "pgbouncer.ini"
        users.write_text(f'"test_app" "{PASSWORD}"\n')
        configuration.write_text(_CONFIGURATION.format(server=server.port, port=port, users=users))
        process = spawn([program, configuration], folder / "log", account=unprivileged())
        try:
            _await(port, process, folder / "log")
            yield port
        finally:
            stop(process, signal.SIGTERM, timeout=10)


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = monotonic() + 10
    while process.poll() is None and monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            sleep(0.02)
        else:
            return
    raise LocalError(f"PgBouncer did not start: {tail(log)}")


def through(port: int, dsn: str) -> str:
    """Return *dsn* as it is reached through the pooler at *port*."""
    return make_conninfo(dsn, port=port)
