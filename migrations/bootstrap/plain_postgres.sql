-- What Supabase brings along and plain PostgreSQL lacks: its roles and auth.uid(). Everything that exists is left as it is, so on a
-- real Supabase this does nothing. Needs CREATEROLE, and CREATE on the database.
do $$
declare
  wanted text;
begin
  foreach wanted in array array['anon', 'authenticated', 'service_role'] loop
    begin
      if not exists (select from pg_catalog.pg_roles where rolname = wanted) then
        execute format('create role %I nologin noinherit', wanted);
      end if;
    exception when duplicate_object or unique_violation then
      null;  -- roles belong to the server: another database's bootstrap was faster
    end;
  end loop;

  if to_regnamespace('auth') is null then
    create schema auth;
    grant usage on schema auth to anon, authenticated, service_role;
  end if;

  if to_regprocedure('auth.uid()') is null then
    -- Supabase's own definition: the single claim where a gateway set it, else PostgREST's JSON. Names are qualified instead of a
    -- search_path set, so that the planner can put the expression in the function's place: every policy calls it.
    create function auth.uid() returns uuid language sql stable as $uid$
      select coalesce(
        nullif(pg_catalog.current_setting('request.jwt.claim.sub', true), ''),
        nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb operator(pg_catalog.->>) 'sub'
      )::pg_catalog.uuid
    $uid$;
    revoke all on function auth.uid() from public;
    grant execute on function auth.uid() to anon, authenticated, service_role;
  end if;
end $$;
