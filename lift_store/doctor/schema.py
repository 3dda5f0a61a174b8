"""Whether the database has the schema of this release: by its ledger of migrations, and by what is really there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files

from lift_store.doctor.finding import Finding, fail, ok, skip, warn
from lift_store.doctor.subject import Look, UnknownError
from lift_store.schema.files import Migration, fingerprints, shipped, state_of

_UP = "run: lift-store migrate up"


async def migrations(look: Look) -> list[Finding]:
    """Check that each migration of this release was applied, in the wording of this release."""
    ledger = await _ledger(look)
    newer = max(ledger, default=0)
    findings = [
        finding
        for finding in (
            _changed(look, _in_state("changed", ledger)),
            _pending(look, _in_state("pending", ledger)),
        )
        if finding
    ]
    if newer > shipped()[-1].version:
        found = f"the database is at migration {newer}, this release knows {shipped()[-1].version}"
        findings.append(warn(look.name, found, "use the release that applied it"))
    return findings or [ok(look.name, f"all {len(shipped())} migrations of this release are applied")]


async def drift(look: Look) -> list[Finding]:
    """Check that what is there is what the migrations made, down to the last policy and grant."""
    if not await _there(look):
        raise UnknownError("there is no schema lift, see migrations")
    query = (files("lift_store.schema") / "fingerprint.sql").read_bytes()
    [row] = await look.rows(query)
    [lines] = row.values()
    version = fingerprints().get(hashlib.sha256("\n".join(lines).encode()).hexdigest())
    if version == shipped()[-1].version:
        return [ok(look.name, f"tables, policies, functions and grants are exactly those of migration {version}")]
    if version is not None:
        return [skip(look.name, f"tables, policies, functions and grants are those of migration {version}, see migrations")]
    found = "tables, policies, functions or grants are those of no migration of this release: somebody changed them by hand"
    return [warn(look.name, found, "put such changes into migrations; compare with a fresh database by pg_dump --schema-only")]


async def require(look: Look) -> None:
    """Raise UnknownError where migrations are missing, since what they would make cannot be checked yet."""
    if not await _there(look):
        raise UnknownError("there is no schema lift, see migrations")
    try:
        pending = _in_state("pending", await _ledger(look))
    except UnknownError:  # what is there can be looked at all the same
        return
    if pending:
        raise UnknownError(f"{len(pending)} of {len(shipped())} migrations are pending, see migrations")


def _in_state(state: str, ledger: Mapping[int, str]) -> list[Migration]:
    return [migration for migration in shipped() if state_of(migration, ledger) == state]


def _pending(look: Look, pending: list[Migration]) -> Finding | None:
    if not pending:
        return None
    return fail(look.name, f"{len(pending)} of {len(shipped())} migrations are pending, from {pending[0].name}", _UP)


def _changed(look: Look, changed: list[Migration]) -> Finding | None:
    if not changed:
        return None
    names = ", ".join(migration.name for migration in changed)
    mend = "use the release that applied them, or restore these files and put the change into a migration of its own"
    return fail(look.name, f"{names}: applied in another wording than this release has", mend)


async def _there(look: Look) -> bool:
    return bool(await look.rows("select from pg_catalog.pg_namespace where nspname = 'lift'"))


async def _ledger(look: Look) -> Mapping[int, str]:
    table = await look.rows(
        """
        select has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') as readable
        from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'lift_private' and c.relname = 'migrations'
        """
    )
    if not table:
        return {}
    if not table[0]["readable"]:
        raise UnknownError(f"the login may not read the ledger, see {look.login.name}.membership")
    ledger = await look.rows("select version, sha256 from lift_private.migrations")
    return {row["version"]: row["sha256"] for row in ledger}
