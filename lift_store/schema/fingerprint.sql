-- One line for each thing that makes up our schema, in words that do not depend on the version of PostgreSQL, on who migrated, or on
-- the order in which things were made. The owner's own privileges are left out: versions differ in what they list there.
with ours as (
  select oid from pg_catalog.pg_namespace where nspname in ('lift', 'lift_hooks', 'lift_private')
), relations as (
  select c.* from pg_catalog.pg_class c
  where c.relnamespace in (select oid from ours)
    or (c.relnamespace = 'public'::regnamespace and c.relowner = (select oid from pg_catalog.pg_roles where rolname = 'lift_owner'))
), functions as (
  select p.* from pg_catalog.pg_proc p
  where p.pronamespace in (select oid from ours)
    or (p.pronamespace = 'public'::regnamespace and p.proowner = (select oid from pg_catalog.pg_roles where rolname = 'lift_owner'))
), lines as (
  select format('schema %s owner %s', n.nspname, n.nspowner::regrole) as line
  from pg_catalog.pg_namespace n where n.oid in (select oid from ours)
  union all
  select format('schema %s grant %s to %s', n.nspname, a.privilege_type, a.grantee::regrole)
  from pg_catalog.pg_namespace n, aclexplode(n.nspacl) a where n.oid in (select oid from ours) and a.grantee <> n.nspowner
  union all
  select format('relation %s kind %s owner %s rls %s forced %s options %s', c.oid::regclass, c.relkind, c.relowner::regrole,
    c.relrowsecurity, c.relforcerowsecurity, (select array_agg(o order by o) from unnest(c.reloptions) o))
  from relations c where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
  union all
  select format('relation %s grant %s to %s', c.oid::regclass, a.privilege_type, a.grantee::regrole)
  from relations c, aclexplode(c.relacl) a where a.grantee <> c.relowner
  union all
  select format('column %s.%s type %s not null %s default %s', c.oid::regclass, t.attname, format_type(t.atttypid, t.atttypmod),
    t.attnotnull, pg_get_expr(d.adbin, d.adrelid))
  from relations c
  join pg_catalog.pg_attribute t on t.attrelid = c.oid and t.attnum > 0 and not t.attisdropped
  left join pg_catalog.pg_attrdef d on d.adrelid = c.oid and d.adnum = t.attnum
  where c.relkind in ('r', 'p', 'v')
  union all
  select format('column %s.%s grant %s to %s', c.oid::regclass, t.attname, a.privilege_type, a.grantee::regrole)
  from relations c
  join pg_catalog.pg_attribute t on t.attrelid = c.oid and t.attnum > 0 and not t.attisdropped, aclexplode(t.attacl) a
  union all
  select format('constraint %s on %s %s', k.conname, k.conrelid::regclass, pg_get_constraintdef(k.oid))
  from pg_catalog.pg_constraint k
  where k.conrelid in (select oid from relations) and k.contype in ('p', 'u', 'f', 'c')
  union all
  select 'index ' || pg_get_indexdef(c.oid) from relations c where c.relkind in ('i', 'I')
  union all
  select format('policy %s on %s %s for %s to %s using %s check %s', p.polname, p.polrelid::regclass, p.polpermissive, p.polcmd,
    (select array_agg(r::regrole::text order by r::regrole::text) from unnest(p.polroles) r),
    pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
  from pg_catalog.pg_policy p where p.polrelid in (select oid from relations)
  union all
  select format('function %s returns %s definer %s volatile %s settings %s owner %s body %s', f.oid::regprocedure,
    f.prorettype::regtype, f.prosecdef, f.provolatile, f.proconfig, f.proowner::regrole, md5(f.prosrc))
  from functions f
  union all
  -- no list at all would mean PUBLIC, so it is spelled out
  select format('function %s grant %s to %s', f.oid::regprocedure, a.privilege_type,
    case a.grantee when 0 then 'public' else a.grantee::regrole::text end)
  from functions f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a where a.grantee <> f.proowner
  union all
  select 'trigger ' || pg_get_triggerdef(t.oid)
  from pg_catalog.pg_trigger t where t.tgrelid in (select oid from relations) and not t.tgisinternal
  union all
  -- PostgreSQL 16 and newer leave out qualifiers that 15 writes
  select format('view %s as %s', c.oid::regclass,
    regexp_replace(regexp_replace(pg_get_viewdef(c.oid), '\s+', ' ', 'g'), '\m[a-z_]+\.', '', 'g'))
  from relations c where c.relkind = 'v'
)
select coalesce(array_agg(line order by line collate "C"), '{}') from lines
