"""What a login is and may become: the user path's anon and authenticated, the operator's lift_operator, and nothing else."""

from __future__ import annotations

from typing import Any, Final

from lift_store.doctor.finding import Finding, fail, ok, skip
from lift_store.doctor.subject import Look

_FORBIDDEN: Final = {
    "superuser": "a superuser, whom no row-level security holds",
    "bypassrls": "BYPASSRLS, whom no row-level security holds",
    "createrole": "CREATEROLE, so it can make roles of more rights than its own",
    "createdb": "CREATEDB",
    "replication": "REPLICATION, so it can copy everything",
    "owner": "the owner of this database",
}


async def attributes(look: Look) -> list[Finding]:
    """Check that neither the login nor a role that it may become is anything special."""
    roles = await look.rows(
        """
        select rolname::text as name, format('%%I', rolname) as quoted, rolsuper as superuser, rolbypassrls as bypassrls,
          rolcreaterole as createrole, rolcreatedb as createdb, rolreplication as replication,
          -- such a role serves others too, and has its attributes for a reason
          oid = 10 as founder, oid = (select datdba from pg_catalog.pg_database where datname = current_database()) as owner
        from pg_catalog.pg_roles where rolname = session_user or rolname = any(%s) order by rolname <> session_user, rolname
        """,
        list(look.login.roles),
    )
    findings = [_special(look, role, held) for role in roles if (held := [attribute for attribute in _FORBIDDEN if role[attribute]])]
    return findings or [
        ok(look.name, f"{roles[0]['name']} is neither superuser nor BYPASSRLS, makes no roles, and does not own the database")
    ]


def _special(look: Look, role: dict[str, Any], held: list[str]) -> Finding:
    named = held[:1] if role["superuser"] else held  # who may do everything anyway
    found = f"{role['name']} is {'; '.join(_FORBIDDEN[attribute] for attribute in named)}"
    mend = f"name a login of the service's own in {look.login.variable}, as docs/DATABASE.md makes it"
    if role["founder"] or role["owner"]:
        return fail(look.name, found, mend)
    statement = f"alter role {role['quoted']} {' '.join(f'no{attribute}' for attribute in held)};"
    return fail(look.name, found, f"{mend}; or, if the role serves nothing else:", statement)


async def membership(look: Look) -> list[Finding]:
    """Check that the login may become the roles of its path, all of them and no other."""
    [login] = await look.rows(
        """
        select rolname::text as name, format('%I', rolname) as quoted, rolsuper as superuser, rolinherit as inherits,
          current_setting('server_version_num')::int >= 160000 as modern,
          oid = (select datdba from pg_catalog.pg_database where datname = current_database()) as owner
        from pg_catalog.pg_roles where rolname = session_user
        """
    )
    if login["superuser"] or login["owner"]:
        kind = "a superuser, who may become every role" if login["superuser"] else "the owner of this database"
        return [skip(look.name, f"{login['name']} is {kind}, see {look.login.name}.attributes")]
    findings = await _too_much(look, login) + await _too_little(look, login)
    return findings or [ok(look.name, f"{login['name']} may become {', '.join(look.login.roles)} and nothing else")]


async def _too_much(look: Look, login: dict[str, Any]) -> list[Finding]:
    allowed = list(look.login.roles)
    extra = await look.rows(
        """
        select rolname::text as name from pg_catalog.pg_roles
        where rolname <> session_user and rolname <> all(%s) and pg_has_role(session_user, oid, 'member') order by rolname
        """,
        allowed,
    )
    if not extra:
        return []
    found = f"{login['name']} may become {', '.join(role['name'] for role in extra)}"
    # the grants by which it leaves the allowed roles; since 16 a revoke must name who granted
    grants = await look.rows(
        """
        select format('revoke %%I from %%I', r.rolname, m.rolname)
          || case when current_setting('server_version_num')::int >= 160000 then format(' granted by %%I', g.rolname) else '' end
          || ';' as statement
        from pg_catalog.pg_auth_members a
        join pg_catalog.pg_roles r on r.oid = a.roleid
        join pg_catalog.pg_roles m on m.oid = a.member
        left join pg_catalog.pg_roles g on g.oid = a.grantor
        where r.rolname <> all(%s) and (m.rolname = session_user or m.rolname = any(%s))
        order by 1
        """,
        allowed,
        allowed,
    )
    return [fail(look.name, found, "take that back", *(grant["statement"] for grant in grants))]


async def _too_little(look: Look, login: dict[str, Any]) -> list[Finding]:
    group, *roles = look.login.roles
    wanted = await look.rows(
        """
        select wanted.name, r.oid is not null as there, coalesce(
          pg_has_role(session_user, r.oid, case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end)
          -- it works with the rights of its group, and with those of the others only once it has become them
          and (wanted.place > 1 or pg_has_role(session_user, r.oid, 'usage')), false) as may
        from unnest(%s::text[]) with ordinality as wanted(name, place)
        left join pg_catalog.pg_roles r on r.rolname = wanted.name order by place
        """,
        list(look.login.roles),
    )
    missing = [role["name"] for role in wanted if not role["may"]]
    if not missing:
        return []
    found = f"{login['name']} may not become {', '.join(missing)}, or does not inherit what {group} may"
    absent = [role["name"] for role in wanted if not role["there"]]
    if absent:
        return [fail(look.name, f"{found}: no role {', '.join(absent)} exists", "run lift-store migrate up, then this again")]
    statements = [f"grant {', '.join(roles)} to {group};"] if roles else []
    statements += [] if login["modern"] or login["inherits"] else [f"alter role {login['quoted']} inherit;"]
    statements += [f"grant {group} to {login['quoted']}{' with inherit true, set true' if login['modern'] else ''};"]
    return [fail(look.name, found, "grant it, as docs/DATABASE.md does", *statements)]
