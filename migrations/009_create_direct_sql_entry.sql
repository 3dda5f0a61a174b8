-- The entry of direct SQL: one function for each operation, for members of lift_app. Its SET clause gives it role authenticated; its
-- body sets the caller's claims, calls the public function, so that row-level security decides, and takes the claims back. An error
-- takes them back too, with the (sub)transaction. So nothing outlives the function, in a pipeline, an open transaction or behind a
-- transaction pooler. (A SET clause for the claims as well would need a superuser to create it.)
-- A member of lift_app may name any user, by design: its statements are the nine below. Both forms of the claims are set, since
-- auth.uid() reads the one or the other; by assignment, since PL/pgSQL evaluates that itself, and a PERFORM is a query.

-- checking a body would first take on the role of its SET clause, which the migrating role need not be able to
set check_function_bodies = off;

create function lift_private.session_create(claims jsonb, session jsonb, operation_id uuid, context jsonb) returns jsonb
language plpgsql volatile
set role = 'authenticated' set search_path = '' as $$
declare
  taken text;
  answer jsonb;
begin
  taken := set_config('request.jwt.claims', claims::text, true) || set_config('request.jwt.claim.sub', claims ->> 'sub', true);
  answer := public.session_create(session, operation_id, context);
  taken := set_config('request.jwt.claims', '', true) || set_config('request.jwt.claim.sub', '', true);
  return answer;
end $$;

create function lift_private.session_get(claims jsonb, session_id uuid, context jsonb) returns jsonb
language plpgsql volatile
set role = 'authenticated' set search_path = '' as $$
declare
  taken text;
  answer jsonb;
begin
  taken := set_config('request.jwt.claims', claims::text, true) || set_config('request.jwt.claim.sub', claims ->> 'sub', true);
  answer := public.session_get(session_id, context);
  taken := set_config('request.jwt.claims', '', true) || set_config('request.jwt.claim.sub', '', true);
  return answer;
end $$;

create function lift_private.session_update(claims jsonb, session_id uuid, version bigint, status text, metadata jsonb, operation_id uuid, context jsonb) returns jsonb
language plpgsql volatile
set role = 'authenticated' set search_path = '' as $$
declare
  taken text;
  answer jsonb;
begin
  taken := set_config('request.jwt.claims', claims::text, true) || set_config('request.jwt.claim.sub', claims ->> 'sub', true);
  answer := public.session_update(session_id, version, status, metadata, operation_id, context);
  taken := set_config('request.jwt.claims', '', true) || set_config('request.jwt.claim.sub', '', true);
  return answer;
end $$;

create function lift_private.session_delete(claims jsonb, session_id uuid, operation_id uuid, context jsonb) returns jsonb
language plpgsql volatile
set role = 'authenticated' set search_path = '' as $$
declare
  taken text;
  answer jsonb;
begin
  taken := set_config('request.jwt.claims', claims::text, true) || set_config('request.jwt.claim.sub', claims ->> 'sub', true);
  answer := public.session_delete(session_id, operation_id, context);
  taken := set_config('request.jwt.claims', '', true) || set_config('request.jwt.claim.sub', '', true);
  return answer;
end $$;

create function lift_private.session_list_active(claims jsonb, max_items integer, cursor text, context jsonb) returns jsonb
language plpgsql volatile
set role = 'authenticated' set search_path = '' as $$
declare
  taken text;
  answer jsonb;
begin
  taken := set_config('request.jwt.claims', claims::text, true) || set_config('request.jwt.claim.sub', claims ->> 'sub', true);
  answer := public.session_list_active(max_items, cursor, context);
  taken := set_config('request.jwt.claims', '', true) || set_config('request.jwt.claim.sub', '', true);
  return answer;
end $$;

create function lift_private.session_list_all(claims jsonb, status text, max_items integer, cursor text, context jsonb) returns jsonb
language plpgsql volatile
set role = 'authenticated' set search_path = '' as $$
declare
  taken text;
  answer jsonb;
begin
  taken := set_config('request.jwt.claims', claims::text, true) || set_config('request.jwt.claim.sub', claims ->> 'sub', true);
  answer := public.session_list_all(status, max_items, cursor, context);
  taken := set_config('request.jwt.claims', '', true) || set_config('request.jwt.claim.sub', '', true);
  return answer;
end $$;

create function lift_private.session_add_revision(claims jsonb, session_id uuid, revision jsonb, operation_id uuid, context jsonb) returns jsonb
language plpgsql volatile
set role = 'authenticated' set search_path = '' as $$
declare
  taken text;
  answer jsonb;
begin
  taken := set_config('request.jwt.claims', claims::text, true) || set_config('request.jwt.claim.sub', claims ->> 'sub', true);
  answer := public.session_add_revision(session_id, revision, operation_id, context);
  taken := set_config('request.jwt.claims', '', true) || set_config('request.jwt.claim.sub', '', true);
  return answer;
end $$;

create function lift_private.session_add_draft(claims jsonb, session_id uuid, draft jsonb, operation_id uuid, context jsonb) returns jsonb
language plpgsql volatile
set role = 'authenticated' set search_path = '' as $$
declare
  taken text;
  answer jsonb;
begin
  taken := set_config('request.jwt.claims', claims::text, true) || set_config('request.jwt.claim.sub', claims ->> 'sub', true);
  answer := public.session_add_draft(session_id, draft, operation_id, context);
  taken := set_config('request.jwt.claims', '', true) || set_config('request.jwt.claim.sub', '', true);
  return answer;
end $$;

create function lift_private.session_add_resolution(claims jsonb, session_id uuid, resolution jsonb, operation_id uuid, context jsonb) returns jsonb
language plpgsql volatile
set role = 'authenticated' set search_path = '' as $$
declare
  taken text;
  answer jsonb;
begin
  taken := set_config('request.jwt.claims', claims::text, true) || set_config('request.jwt.claim.sub', claims ->> 'sub', true);
  answer := public.session_add_resolution(session_id, resolution, operation_id, context);
  taken := set_config('request.jwt.claims', '', true) || set_config('request.jwt.claim.sub', '', true);
  return answer;
end $$;

do $$
declare
  signature regprocedure;
begin
  for signature in
    select p.oid from pg_catalog.pg_proc p where p.pronamespace = 'lift_private'::regnamespace and p.proname like 'session\_%'
  loop
    execute format('alter function %s owner to lift_owner', signature);
    execute format('revoke all on function %s from public, anon, authenticated, service_role', signature);
    execute format('grant execute on function %s to lift_app', signature);
  end loop;
end $$;

reset check_function_bodies;
