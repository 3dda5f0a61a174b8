"""A server's own folder: who may pass through to it, who has it, and what is written there."""

from __future__ import annotations

import fcntl
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lift_store.local.process import LocalError


@contextmanager
def usable(folder: Path) -> Iterator[None]:
    """Turn what the system says of *folder* into one line that says what to choose."""
    try:
        yield
    except OSError as error:
        raise LocalError(f"{folder} cannot be used: {error.filename}: {error.strerror}; choose another --data-dir") from None


def may_pass(account: pwd.struct_passwd | None, folder: Path) -> bool:
    """Whether *account*, which is in no group but its own, may pass through *folder*; None is ourselves, who would have noticed."""
    status = folder.stat()
    if account is None or status.st_uid == account.pw_uid:
        return True
    return bool(status.st_mode & (0o010 if status.st_gid == account.pw_gid else 0o001))


def prepare(folder: Path, account: pwd.struct_passwd | None) -> None:
    """Make *folder*, owned by *account* and closed to all others; LocalError if it cannot get there: no parent is ever opened up."""
    folder.mkdir(parents=True, exist_ok=True)
    if account:
        closed = next((parent for parent in reversed(folder.parents) if not may_pass(account, parent)), None)
        if closed:
            raise LocalError(
                f"{folder}: the account {account.pw_name!r}, which PostgreSQL runs as when you are root, cannot pass through "
                f"{closed}; choose a folder that it can reach, such as one under /var/lib, or run as another user"
            )
        os.chown(folder, account.pw_uid, account.pw_gid)
    folder.chmod(0o700)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Have *folder* to ourselves; the kernel gives it back however we end. LocalError names the process that has it."""
    # the folder may be another account's: what it put in the file's place is not followed
    with os.fdopen(os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise in_use(folder, file.read().strip()) from None
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def in_use(folder: Path, by: object) -> LocalError:
    """Return the refusal of a folder that process *by* has."""
    return LocalError(f"{folder} is in use by process {by}; end it, or choose another --data-dir")


def write_private(file: Path, text: str, account: pwd.struct_passwd | None = None) -> None:
    """Write a new *file* that only its owner reads, *account* or ourselves, in place of any that is there."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as made:
        made.write(text)
        if account:
            os.fchown(made.fileno(), account.pw_uid, account.pw_gid)
