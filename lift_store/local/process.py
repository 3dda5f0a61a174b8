"""Child processes that end with their parent, and where their files may lie."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_libc = ctypes.CDLL(None, use_errno=True)


class LocalError(Exception):
    """A local service cannot run; one line that says why and what to do."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unprivileged() -> pwd.struct_passwd | None:
    """Return the account that children run as when we are root, since PostgreSQL refuses to be root; None when we are not."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise LocalError("running as root, and there is neither an account postgres nor nobody to run PostgreSQL as")


def become(account: pwd.struct_passwd | None) -> Callable[[], None]:
    """Return what a child does before it executes: drop root's rights for good, and ask to be ended when its parent dies.

    The request is made last, since changing the user takes it back (prctl(2)). It is SIGINT, PostgreSQL's fast shutdown. If the parent
    died in between, it would come too late, so that is checked.
    """
    parent = os.getpid()

    def prepare() -> None:
        if account:
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def spawn(
    command: Sequence[str | Path],
    log: Path,
    *,
    account: pwd.struct_passwd | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path = Path("/"),
) -> subprocess.Popen[bytes]:
    """Start *command* in *folder* and in a session of its own, so that a terminal's Ctrl-C reaches only us; its output goes to *log*."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=dict(environment if environment is not None else os.environ),
            start_new_session=True,
            preexec_fn=become(account),  # noqa: PLW1509 - no threads are started before the children
        )


def stop(process: subprocess.Popen[bytes], how: signal.Signals, *, timeout: float) -> None:
    """Ask *process* to end, and end it after *timeout* seconds."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tail(log: Path, lines: int = 3) -> str:
    """Return the last lines of *log* as one."""
    return " | ".join(log.read_text("utf-8", "replace").splitlines()[-lines:]) if log.exists() else "no log"
