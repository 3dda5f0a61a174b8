"""The migrations that this release ships, and how a database compares with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of migrations/ with its way back."""

    version: int
    name: str
    up: str
    down: str

    @property
    def sha256(self) -> str:
        """The checksum that the ledger keeps: of the way up, as hex."""
        return hashlib.sha256(self.up.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SchemaState:
    """How many migrations of this release a database has, lacks, and has in another wording."""

    applied: int
    pending: int
    changed: int


def folder() -> Traversable:
    """Return where the SQL is: inside the installed package, or at the root of a checkout."""
    packaged = files("lift_store.schema") / "sql"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "migrations"


@cache
def shipped() -> tuple[Migration, ...]:
    """Return the migrations of this release in their order."""
    names = sorted(entry.name for entry in folder().iterdir() if entry.name.endswith(".sql"))
    return tuple(
        Migration(
            version=int(name.split("_")[0]),
            name=name.removesuffix(".sql"),
            up=(folder() / name).read_text("utf-8"),
            down=(folder() / "down" / name).read_text("utf-8"),
        )
        for name in names
    )


def bootstrap() -> str:
    """Return the SQL that gives plain PostgreSQL what Supabase brings along."""
    return (folder() / "bootstrap" / "plain_postgres.sql").read_text("utf-8")


@cache
def fingerprints() -> Mapping[str, int]:
    """Return the version that a schema of each fingerprint is at."""
    return {fingerprint: int(version) for version, fingerprint in json.loads((folder() / "fingerprints.json").read_text()).items()}


def state_of(migration: Migration, ledger: Mapping[int, str]) -> str:
    """Return `applied`, `pending` or `changed` for *migration*, given the checksums of the ledger by version."""
    recorded = ledger.get(migration.version)
    if recorded is None:
        return "pending"
    return "applied" if recorded == migration.sha256 else "changed"


def compare(migrations: Sequence[Migration], ledger: Mapping[int, str]) -> SchemaState:
    """Return how many of *migrations* the ledger has, lacks, and has in another wording."""
    states = [state_of(migration, ledger) for migration in migrations]
    return SchemaState(states.count("applied"), states.count("pending"), states.count("changed"))
