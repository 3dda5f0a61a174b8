"""Supabase Lite as a child process: it ends with us, keeps to its folder, and says plainly what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lift_store.local.postgres import LocalPostgres
from lift_store.local.process import LocalError
from lift_store.local.supabase import LocalSupabase
from tests.principals import SECRET
from tests.servers import empty_database, migrated_database
from tests.supabase import PROGRAMS, SupabaseProject, lite


def processes_of(folder: Path) -> list[int]:
    """Return the processes whose home is *folder*."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"HOME={folder}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue  # it has just ended
    return found


def test_it_keeps_to_its_folder_and_ends_with_the_block(server: LocalPostgres, tmp_path: Path) -> None:
    """Its configuration, which has secrets, is its owner's alone; it listens on loopback only."""
    folder = tmp_path / "lite"
    with LocalSupabase(folder, migrated_database(server).admin, programs=PROGRAMS, jwt_secret=SECRET) as running:
        [process] = processes_of(folder)
        assert (folder.stat().st_mode & 0o777, (folder / "config.json").stat().st_mode & 0o777) == (0o700, 0o600)
        port = f":{int(running.url.rpartition(':')[2]):04X}"
        listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if " 0A " in line]
        assert [address for address in listening if address.endswith(port)] == [f"0100007F{port}"]
        assert port not in Path("/proc/net/tcp6").read_text()
        assert Path(f"/proc/{process}/cwd").resolve() == folder
    assert processes_of(folder) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lite"]


def test_it_ends_with_its_parent(supabase: SupabaseProject, server: LocalPostgres, tmp_path: Path) -> None:
    """Kill -9 of the process that started it leaves no process."""
    assert supabase.url  # Lite is installed
    folder = tmp_path / "lite"
    code = f"""
import time
from pathlib import Path
from lift_store.local.supabase import LocalSupabase
with LocalSupabase(Path({str(folder)!r}), {migrated_database(server).admin!r}, programs=Path({str(PROGRAMS)!r}), jwt_secret={SECRET!r}):
    print("up", flush=True)
    time.sleep(60)
"""
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "PYTHONPATH": path}
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "up\n"
    assert processes_of(folder)
    parent.kill()
    parent.communicate()
    for _ in range(200):
        if not processes_of(folder):
            return
        time.sleep(0.05)  # the kernel's signal is on its way
    pytest.fail("Lite outlived its parent")


def test_two_of_them_share_a_server(supabase: SupabaseProject, server: LocalPostgres) -> None:
    """Each has a login of its own, so that the second start does not take the first one's password away."""
    first, second = migrated_database(server), migrated_database(server)
    with lite(first), lite(second) as running:
        assert running.url != supabase.url


def test_a_database_that_is_not_migrated_is_one_line(server: LocalPostgres, tmp_path: Path) -> None:
    """It names the database and what to do, and nothing was started."""
    with pytest.raises(LocalError, match=r"the database 'test_\w+' has no schema auth: migrate it first"):
        LocalSupabase(tmp_path / "lite", empty_database(server).admin, programs=PROGRAMS, jwt_secret=SECRET).__enter__()
    assert not (tmp_path / "lite").exists()


def test_a_lite_that_ends_at_once_is_one_line(server: LocalPostgres, tmp_path: Path) -> None:
    """With what its log says last."""
    with pytest.raises(LocalError, match=r"^Supabase Lite did not start: .*Node\.js v[\d.]+$"):
        LocalSupabase(tmp_path / "lite", migrated_database(server).admin, programs=tmp_path, jwt_secret=SECRET).__enter__()
    assert processes_of(tmp_path / "lite") == []
