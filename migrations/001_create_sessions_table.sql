-- Sessions: the roles that own and use the schema, its namespaces, the table at its root, and the ledger of migrations.

-- Roles belong to the server, not to the database, so each is made only where it is missing; down leaves them.
--   lift_owner     owns everything; nobody logs in as it
--   lift_app       may enter by direct SQL as a user; the user path's login is its member
--   lift_operator  may read what operators read; the operator's login is its member
do $$
declare
  wanted text;
begin
  foreach wanted in array array['lift_owner', 'lift_app', 'lift_operator'] loop
    begin
      if not exists (select from pg_catalog.pg_roles where rolname = wanted) then
        execute format('create role %I nologin noinherit', wanted);
      end if;
    exception when duplicate_object or unique_violation then
      null;
    end;
  end loop;
  if not pg_catalog.pg_has_role(current_user, 'lift_owner', 'usage') then
    grant lift_owner to current_user;  -- to hand over what these files create
  end if;
end $$;

create schema lift authorization lift_owner;
create schema lift_hooks authorization lift_owner;
create schema lift_private authorization lift_owner;
revoke all on schema lift, lift_hooks, lift_private from public, anon, authenticated, service_role;
grant usage on schema lift, lift_hooks to authenticated;
grant usage on schema lift_private to lift_app, lift_operator;

create table lift.sessions (
  user_id uuid not null,
  session_id uuid not null default gen_random_uuid(),
  status text not null default 'active',
  source text not null default 'prompt',
  metadata jsonb not null default '{}',
  version bigint not null default 1,
  revision_count integer not null default 0,
  draft_count integer not null default 0,
  resolution_count integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  finalized_at timestamptz,
  -- an id is its owner's namespace: the key begins with the owner, so that a taken id tells nobody anything
  constraint sessions_pkey primary key (user_id, session_id),
  constraint sessions_status_known check (status in ('active', 'paused', 'finalized', 'abandoned', 'error')),
  constraint sessions_source_known check (source in ('prompt', 'reverse_mode')),
  constraint sessions_metadata_object check (jsonb_typeof(metadata) = 'object' and pg_column_size(metadata) <= 65536),
  constraint sessions_version_positive check (version > 0),
  constraint sessions_counts_positive check (revision_count >= 0 and draft_count >= 0 and resolution_count >= 0),
  constraint sessions_finalized_at_set check ((status = 'finalized') = (finalized_at is not null))
) with (fillfactor = 80);  -- room on the page, so that an append's update of its parent stays heap-only
alter table lift.sessions owner to lift_owner;
revoke all on table lift.sessions from public, anon, authenticated, service_role;
comment on table lift.sessions is 'Prompt-refinement sessions; the children hold their history. Reached only through public.session_*.';
comment on column lift.sessions.version is 'Moves by one with every write; the compare-and-swap token of session_update.';

create index sessions_session_id on lift.sessions (session_id);
create index sessions_newest on lift.sessions (user_id, created_at desc, session_id desc);
create index sessions_newest_by_status on lift.sessions (user_id, status, created_at desc, session_id desc);

create table lift_private.migrations (
  version integer not null,
  name text not null,
  sha256 text not null,
  applied_at timestamptz not null default now(),
  applied_by text not null default session_user,
  constraint migrations_pkey primary key (version),
  constraint migrations_version_positive check (version > 0),
  constraint migrations_sha256_hex check (sha256 ~ '^[0-9a-f]{64}$')
);
alter table lift_private.migrations owner to lift_owner;
revoke all on table lift_private.migrations from public, anon, authenticated, service_role;
grant select on table lift_private.migrations to lift_app, lift_operator;
comment on table lift_private.migrations is 'Which files of migrations/ this database has, as lift-store migrate applied or adopted them.';
