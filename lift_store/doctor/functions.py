"""The operations in the database: are they there, callable by whom they are for and by nobody else, and pinned as they were made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from lift_store.doctor.finding import Finding, fail, ok
from lift_store.doctor.schema import require
from lift_store.doctor.subject import Look
from lift_store.protocol import Operation

_NAMES: Final = tuple(f"session_{operation}" for operation in Operation)
_ENTRIES: Final = {"lift_private": "009_create_direct_sql_entry", "public": "008_create_operations"}
"""Where each operation is, by the migration that makes it there."""
_USAGE: Final = (("lift_private", "lift_app"), ("public", "authenticated"), ("lift", "authenticated"), ("lift_hooks", "authenticated"))
_SETTINGS: Final = {"role=authenticated": "role = 'authenticated'", 'search_path=""': "search_path = ''"}
_OURS: Final = """
  select n.nspname::text as schema, p.proname::text as name, p.oid::regprocedure::text as signature, p.prosecdef as definer,
    coalesce(p.proconfig, '{}') as settings, case n.nspname when 'lift_private' then 'lift_app' else 'authenticated' end as caller,
    has_function_privilege(case n.nspname when 'lift_private' then 'lift_app' else 'authenticated' end, p.oid, 'execute') as callable,
    array(
      select case acl.grantee when 0 then 'public' else 'anon' end
      from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) acl
      where acl.grantee in (0, (select oid from pg_catalog.pg_roles where rolname = 'anon')) order by 1
    ) as strangers
  from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  where n.nspname in ('lift', 'lift_hooks', 'lift_private')
    or (n.nspname = 'public' and p.proowner = (select oid from pg_catalog.pg_roles where rolname = 'lift_owner'))
  order by 1, 3
"""


async def operations(look: Look) -> list[Finding]:
    """Check that each operation is there, runs as its caller, and may be called by the role that it is for."""
    await require(look)
    ours = await look.rows(_OURS)
    findings = [*_missing(look, ours), *_altered(look, ours), *_closed(look, ours), *await _unusable(look)]
    return findings or [ok(look.name, f"all {len(_NAMES)} operations are there, as they were made, for those they are for")]


async def strangers(look: Look) -> list[Finding]:
    """Check that no function may be called by everybody, or without having signed in."""
    await require(look)
    ours = await look.rows(_OURS)
    opened = [function for function in ours if function["strangers"]]
    if not opened:
        return [ok(look.name, f"none of the {len(ours)} functions may be called by PUBLIC or anon")]
    found = f"{_listed(opened)} may be called by PUBLIC or anon"
    statements = [f"revoke execute on function {f['signature']} from {', '.join(f['strangers'])};" for f in opened]
    return [fail(look.name, found, "take that back", *statements)]


def _missing(look: Look, ours: list[dict[str, Any]]) -> Iterator[Finding]:
    there = {(function["schema"], function["name"]) for function in ours}
    for schema, migration in _ENTRIES.items():
        gone = [f"{schema}.{name}" for name in _NAMES if (schema, name) not in there]
        if gone:
            yield fail(look.name, f"{', '.join(gone)}: missing", f"create it as migrations/{migration}.sql does, with owner and grants")


def _altered(look: Look, ours: list[dict[str, Any]]) -> Iterator[Finding]:
    for function in ours:
        operation = function["name"] in _NAMES
        made = ["role=authenticated", 'search_path=""'] if operation and function["schema"] == "lift_private" else ['search_path=""']
        lacks = [setting for setting in made if setting not in function["settings"]]
        definer = operation and function["definer"]
        if lacks or definer:
            words = ["not SECURITY INVOKER"] * definer + [f"without {setting}" for setting in lacks]
            found = f"{function['signature']} is not as it was made: {', '.join(words)}"
            # all settings anew, since they are kept in order
            settings = " reset all" + "".join(f" set {_SETTINGS[setting]}" for setting in made) if lacks else ""
            statement = f"alter function {function['signature']}{' security invoker' * definer}{settings};"
            yield fail(look.name, found, "make it so again", statement)


def _closed(look: Look, ours: list[dict[str, Any]]) -> Iterator[Finding]:
    # of lift_private's, lift_app calls the operations; the rest are triggers and helpers
    wanted = [function for function in ours if function["schema"] != "lift_private" or function["name"] in _NAMES]
    for caller in ("lift_app", "authenticated"):
        closed = [function for function in wanted if function["caller"] == caller and not function["callable"]]
        if closed:
            statements = [f"grant execute on function {function['signature']} to {caller};" for function in closed]
            yield fail(look.name, f"{caller} may not call {_listed(closed)}", "grant it", *statements)


async def _unusable(look: Look) -> list[Finding]:
    schemas = await look.rows(
        """
        select wanted.schema, wanted.role
        from unnest(%s::text[], %s::text[]) as wanted(schema, role)
        join pg_catalog.pg_namespace n on n.nspname = wanted.schema
        where not has_schema_privilege(wanted.role, n.oid, 'usage')
        """,
        *map(list, zip(*_USAGE, strict=True)),
    )
    return [
        fail(
            look.name,
            f"{row['role']} may not use the schema {row['schema']}",
            "grant it",
            f"grant usage on schema {row['schema']} to {row['role']};",
        )
        for row in schemas
    ]


def _listed(functions: list[dict[str, Any]]) -> str:
    return ", ".join(f"{function['schema']}.{function['name']}" for function in functions)
