"""Row-level security: on every table and for everybody, and views that show no more than their reader may see."""

from __future__ import annotations

from typing import Final

from lift_store.doctor.finding import Finding, fail, ok
from lift_store.doctor.schema import require
from lift_store.doctor.subject import Look

_TABLES: Final = ("lift.sessions", "lift.session_revisions", "lift.session_drafts", "lift.hole_resolutions")


async def row_security(look: Look) -> list[Finding]:
    """Check that row-level security is enabled and forced, and that their owner is subject to it."""
    await require(look)
    findings = await _tables(look) + await _views(look) + await _owner(look)
    return findings or [ok(look.name, "enabled and forced on every table, for their owner too; each view shows its reader's rows")]


async def _tables(look: Look) -> list[Finding]:
    tables = await look.rows(
        """
        select c.oid::regclass::text as name, c.relrowsecurity as enabled, c.relforcerowsecurity as forced
        from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('lift', 'lift_hooks', 'lift_private') and c.relkind in ('r', 'p') order by 1
        """
    )
    missing = sorted(set(_TABLES) - {table["name"] for table in tables})
    findings = [fail(look.name, f"{', '.join(missing)}: missing", "restore it from a backup")] if missing else []
    for table in tables:
        lacks = [word for word, has in (("enabled", table["enabled"]), ("forced", table["forced"])) if not has]
        if lacks:
            statement = f"alter table {table['name']} enable row level security, force row level security;"
            findings.append(
                fail(look.name, f"{table['name']}: row-level security is not {' and not '.join(lacks)}", "enable and force it", statement)
            )
    return findings


async def _views(look: Look) -> list[Finding]:
    views = await look.rows(
        """
        select c.oid::regclass::text as name from pg_catalog.pg_class c
        where c.relkind = 'v' and c.relnamespace = 'public'::regnamespace
          and c.relowner = (select oid from pg_catalog.pg_roles where rolname = 'lift_owner')
          and not coalesce('security_invoker=true' = any(c.reloptions) or 'security_invoker=on' = any(c.reloptions), false)
        order by 1
        """
    )
    return [
        fail(
            look.name,
            f"{view['name']} shows the rows that its owner may see, which are everybody's",
            "let it show its reader's",
            f"alter view {view['name']} set (security_invoker = true);",
        )
        for view in views
    ]


async def _owner(look: Look) -> list[Finding]:
    [owner] = await look.rows(
        """
        select rolsuper as superuser, rolbypassrls as bypassrls, rolcanlogin as login
        from pg_catalog.pg_roles where rolname = 'lift_owner'
        """
    )
    held = [attribute for attribute, has in owner.items() if has]
    if not held:
        return []
    statement = f"alter role lift_owner {' '.join(f'no{attribute}' for attribute in held)};"
    return [fail(look.name, f"lift_owner, who owns every table, has {', '.join(held).upper()}", "take that back", statement)]
