-- The operations: the functions that PostgREST exposes, and that direct SQL enters through 009.
--
-- Each is SECURITY INVOKER, so row-level security decides; VOLATILE, so that PostgREST runs it read-write; and returns one jsonb.
--   reads    the session or page, or null for what is not there
--   writes   {"session": summary or null for what is not there, "replayed": whether operation_id had been answered before}
--   delete   {"deleted": bool, "replayed": bool}
-- Refusals are raised as PTnnn, which PostgREST turns into HTTP nnn, with a word for programs in the hint: stale_version,
-- already_exists, closed, unresolved_ambiguities (PT409); operation_reused, invalid_cursor, invalid_limit, nothing_to_set (PT400);
-- no_identity (PT401). A conflict's detail is {"actual_version": n}.

grant create on schema public to lift_owner;

-- Which writes were answered, so that a repeat answers as the first did and stores once.
create table lift_private.operations (
  user_id uuid not null,
  operation_id uuid not null,
  operation text not null,
  request_sha256 bytea not null,
  answer jsonb,  -- null only until the transaction that claimed it ends
  context jsonb,
  created_at timestamptz not null default now(),
  constraint operations_pkey primary key (user_id, operation_id),
  constraint operations_context_size check (pg_column_size(context) <= 4096)  -- a trace and a request id, not a place to store things
) with (fillfactor = 50);  -- each row is updated once, by its answer
alter table lift_private.operations owner to lift_owner;
revoke all on table lift_private.operations from public, anon, authenticated, service_role;
alter table lift_private.operations enable row level security, force row level security;
create policy operations_owner on lift_private.operations for all to lift_owner using (true) with check (true);
comment on table lift_private.operations is 'Answers of writes by the caller''s operation_id.';
create index operations_created_at on lift_private.operations (created_at);

-- Claims operation_id for the caller; a concurrent repeat waits here until the first has ended. What the first answered is left in the
-- setting lift.answer of this transaction: the caller's own answer, and '' for a new operation.
create function lift_hooks.claim_operation(operation_id uuid, operation text, request jsonb, context jsonb) returns void
language plpgsql volatile security definer set search_path = '' as $$
declare
  actor uuid := lift_private.actor();
  hash bytea := sha256(convert_to(request::text, 'UTF8'));
  earlier lift_private.operations;
begin
  insert into lift_private.operations (user_id, operation_id, operation, request_sha256, context)
  values (actor, claim_operation.operation_id, claim_operation.operation, hash, claim_operation.context)
  on conflict do nothing;
  if found then
    perform set_config('lift.answer', '', true);
    return;
  end if;
  select o.* into earlier from lift_private.operations o
  where o.user_id = actor and o.operation_id = claim_operation.operation_id;
  if earlier.operation <> claim_operation.operation or earlier.request_sha256 <> hash then
    raise sqlstate 'PT400' using message = 'operation_id was used before, for another request; make a new one', hint = 'operation_reused';
  end if;
  perform set_config('lift.answer', earlier.answer::text, true);
end $$;
alter function lift_hooks.claim_operation(uuid, text, jsonb, jsonb) owner to lift_owner;

create function lift_hooks.answer_operation(operation_id uuid, answer jsonb) returns void
language sql volatile security definer set search_path = '' as $$
  update lift_private.operations o set answer = answer_operation.answer
  where o.user_id = lift_private.actor() and o.operation_id = answer_operation.operation_id and o.answer is null
$$;
alter function lift_hooks.answer_operation(uuid, jsonb) owner to lift_owner;

-- The caller's id. Refuses a read-only transaction before any row is touched, alike for every id, and a caller without identity.
create function lift.caller() returns uuid language plpgsql stable set search_path = '' as $$
declare
  uid uuid := auth.uid();
begin
  if current_setting('transaction_read_only')::boolean then
    raise read_only_sql_transaction using message = 'cannot execute a session operation in a read-only transaction';
  end if;
  if uid is null then
    raise sqlstate 'PT401' using message = 'the caller has no identity: the claim sub is missing', hint = 'no_identity';
  end if;
  return uid;
end $$;
alter function lift.caller() owner to lift_owner;

-- The answer given before to operation_id, or null. Without an id nothing is remembered.
create function lift.recall(operation_id uuid, operation text, request jsonb, context jsonb) returns jsonb
language plpgsql volatile set search_path = '' as $$
begin
  if operation_id is null then
    return null;
  end if;
  perform lift_hooks.claim_operation(operation_id, operation, request, context);
  return nullif(current_setting('lift.answer'), '')::jsonb || '{"replayed": true}';
end $$;
alter function lift.recall(uuid, text, jsonb, jsonb) owner to lift_owner;

create function lift.remember(operation_id uuid, answer jsonb) returns jsonb
language plpgsql volatile set search_path = '' as $$
begin
  answer := answer || '{"replayed": false}';
  if operation_id is not null then
    perform lift_hooks.answer_operation(operation_id, answer);
  end if;
  return answer;
end $$;
alter function lift.remember(uuid, jsonb) owner to lift_owner;

-- The answer of an append. Where nothing was stored, the session is closed, or was not there when it was looked for; it may have come
-- since.
create function lift.appended(uid uuid, session_id uuid, stored boolean, operation_id uuid) returns jsonb
language plpgsql volatile set search_path = '' as $$
declare
  session lift.sessions;
begin
  select s.* into session from lift.sessions s where s.user_id = uid and s.session_id = appended.session_id;
  if not stored and session.status in ('finalized', 'abandoned') then
    raise sqlstate 'PT409' using message = format('the session is %s; its history is closed', session.status), hint = 'closed';
  end if;
  return lift.remember(operation_id, jsonb_build_object('session', case when found and stored then to_jsonb(session) end));
end $$;
alter function lift.appended(uuid, uuid, boolean, uuid) owner to lift_owner;

-- One page of the caller's sessions, newest first. The cursor is the last row's place: microseconds since 1970 and its id.
create function lift.page(uid uuid, status text, max_items integer, cursor text) returns jsonb
language plpgsql volatile set search_path = '' as $$
declare
  last_at timestamptz := 'infinity';
  last_id uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  found lift.sessions[];
  place text;
begin
  if max_items is null or max_items not between 1 and 200 then
    raise sqlstate 'PT400' using message = format('limit is %s; it must be 1 to 200', max_items), hint = 'invalid_limit';
  end if;
  if cursor is not null then
    if cursor !~ '^[0-9]{1,17}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
      raise sqlstate 'PT400' using message = 'cursor was not made by this list; pass next_cursor unchanged', hint = 'invalid_cursor';
    end if;
    last_at := timestamptz 'epoch' + split_part(cursor, '.', 1)::bigint / 1000000 * interval '1 second'
      + split_part(cursor, '.', 1)::bigint % 1000000 * interval '1 microsecond';
    last_id := split_part(cursor, '.', 2)::uuid;
  end if;
  -- two statements, since each has an index in its own order; one more row than asked tells whether there is a next page
  if status is null then
    found := array(
      select s from lift.sessions s
      where s.user_id = uid and (s.created_at, s.session_id) < (last_at, last_id)
      order by s.created_at desc, s.session_id desc limit max_items + 1
    );
  else
    found := array(
      select s from lift.sessions s
      where s.user_id = uid and s.status = page.status and (s.created_at, s.session_id) < (last_at, last_id)
      order by s.created_at desc, s.session_id desc limit max_items + 1
    );
  end if;
  if cardinality(found) > max_items then
    place := (extract(epoch from found[max_items].created_at) * 1000000)::bigint || '.' || found[max_items].session_id;
  end if;
  return jsonb_build_object('items', to_jsonb(found[:max_items]), 'next_cursor', place);
end $$;
alter function lift.page(uuid, text, integer, text) owner to lift_owner;

create function lift.insert_revision(uid uuid, session_id uuid, revision jsonb) returns boolean
language plpgsql volatile set search_path = '' as $$
begin
  insert into lift.session_revisions (user_id, session_id, "timestamp", content, revision_type, target_hole, metadata)
  values (
    uid, insert_revision.session_id, coalesce((revision ->> 'timestamp')::timestamptz, clock_timestamp()), revision ->> 'content',
    coalesce(revision ->> 'revision_type', 'manual_edit'), revision ->> 'target_hole', coalesce(revision -> 'metadata', '{}')
  );
  return found;
end $$;
alter function lift.insert_revision(uuid, uuid, jsonb) owner to lift_owner;

create function lift.insert_draft(uid uuid, session_id uuid, draft jsonb) returns boolean
language plpgsql volatile set search_path = '' as $$
begin
  insert into lift.session_drafts (user_id, session_id, ir, validation_status, smt_results, ambiguities, created_at, metadata)
  values (
    uid, insert_draft.session_id, draft -> 'ir', coalesce(draft ->> 'validation_status', 'pending'),
    coalesce(draft -> 'smt_results', '[]'), coalesce(draft -> 'ambiguities', '[]'),
    coalesce((draft ->> 'created_at')::timestamptz, clock_timestamp()), coalesce(draft -> 'metadata', '{}')
  );
  return found;
end $$;
alter function lift.insert_draft(uuid, uuid, jsonb) owner to lift_owner;

create function lift.insert_resolution(uid uuid, session_id uuid, resolution jsonb) returns boolean
language plpgsql volatile set search_path = '' as $$
begin
  insert into lift.hole_resolutions
    (user_id, session_id, hole_id, resolution_text, resolution_type, applied, "timestamp", metadata)
  values (
    uid, insert_resolution.session_id, resolution ->> 'hole_id', resolution ->> 'resolution_text',
    coalesce(resolution ->> 'resolution_type', 'clarify_intent'), coalesce((resolution ->> 'applied')::boolean, false),
    coalesce((resolution ->> 'timestamp')::timestamptz, clock_timestamp()), coalesce(resolution -> 'metadata', '{}')
  );
  return found;
end $$;
alter function lift.insert_resolution(uuid, uuid, jsonb) owner to lift_owner;

create function public.session_create(session jsonb, operation_id uuid default null, context jsonb default null) returns jsonb
language plpgsql volatile set search_path = '' as $$
declare
  uid uuid := lift.caller();
  earlier jsonb := lift.recall(operation_id, 'create', session, context);
  id uuid := coalesce((session ->> 'session_id')::uuid, gen_random_uuid());
  taken bigint;
begin
  if earlier is not null then
    return earlier;
  end if;
  loop  -- again where the session in the way was deleted before it could be looked at
    insert into lift.sessions (user_id, session_id, source, metadata)
    values (uid, id, coalesce(session ->> 'source', 'prompt'), coalesce(session -> 'metadata', '{}'))
    on conflict do nothing;
    exit when found;
    select s.version into taken from lift.sessions s where s.user_id = uid and s.session_id = id;
    if found then
      raise sqlstate 'PT409' using message = 'you have a session of that id already', hint = 'already_exists',
        detail = jsonb_build_object('actual_version', taken);
    end if;
  end loop;
  perform lift.insert_revision(uid, id, child) from jsonb_array_elements(session -> 'revisions') child;
  perform lift.insert_draft(uid, id, child) from jsonb_array_elements(session -> 'ir_drafts') child;
  perform lift.insert_resolution(uid, id, child) from jsonb_array_elements(session -> 'pending_resolutions') child;
  return lift.appended(uid, id, true, operation_id);
end $$;
alter function public.session_create(jsonb, uuid, jsonb) owner to lift_owner;

create function public.session_get(session_id uuid, context jsonb default null) returns jsonb
language plpgsql volatile set search_path = '' as $$
declare
  uid uuid := lift.caller();
begin
  return (
    select jsonb_build_object(
      'session_id', s.session_id, 'user_id', s.user_id, 'status', s.status, 'source', s.source, 'metadata', s.metadata,
      'version', s.version, 'created_at', s.created_at, 'updated_at', s.updated_at, 'finalized_at', s.finalized_at,
      'revisions', array(
        select jsonb_build_object(
          'timestamp', r."timestamp", 'content', r.content, 'revision_type', r.revision_type, 'target_hole', r.target_hole,
          'metadata', r.metadata)
        from lift.session_revisions r where r.user_id = uid and r.session_id = s.session_id order by r.number),
      'ir_drafts', array(
        select jsonb_build_object(
          'version', d.number, 'ir', d.ir, 'validation_status', d.validation_status, 'smt_results', d.smt_results,
          'ambiguities', d.ambiguities, 'created_at', d.created_at, 'metadata', d.metadata)
        from lift.session_drafts d where d.user_id = uid and d.session_id = s.session_id order by d.number),
      'pending_resolutions', array(
        select jsonb_build_object(
          'hole_id', h.hole_id, 'resolution_text', h.resolution_text, 'resolution_type', h.resolution_type, 'applied', h.applied,
          'timestamp', h."timestamp", 'metadata', h.metadata)
        from lift.hole_resolutions h where h.user_id = uid and h.session_id = s.session_id order by h.number)
    )
    from lift.sessions s where s.user_id = uid and s.session_id = session_get.session_id
  );
end $$;
alter function public.session_get(uuid, jsonb) owner to lift_owner;

create function public.session_update(
  session_id uuid, version bigint, status text default null, metadata jsonb default null,
  operation_id uuid default null, context jsonb default null
) returns jsonb
language plpgsql volatile set search_path = '' as $$
declare
  uid uuid := lift.caller();
  earlier jsonb := lift.recall(operation_id, 'update', jsonb_build_array(session_id, version, status, metadata), context);
  session lift.sessions;
begin
  if earlier is not null then
    return earlier;
  end if;
  if status is null and metadata is null then
    raise sqlstate 'PT400' using message = 'nothing to set: give status, metadata, or both', hint = 'nothing_to_set';
  end if;
  -- locked first, so that what is checked is what is written
  select s.* into session from lift.sessions s
  where s.user_id = uid and s.session_id = session_update.session_id for no key update;
  if not found then
    return lift.remember(operation_id, '{"session": null}');
  elsif session.version is distinct from session_update.version then
    raise sqlstate 'PT409' using
      message = format('the session is at version %s, not %s; read it again', session.version, session_update.version),
      hint = 'stale_version', detail = jsonb_build_object('actual_version', session.version);
  elsif status is not null and session.status in ('finalized', 'abandoned') then
    raise sqlstate 'PT409' using
      message = format('the session is %s; its status can no longer change', session.status), hint = 'closed';
  end if;
  update lift.sessions s
  set status = coalesce(session_update.status, s.status), metadata = coalesce(session_update.metadata, s.metadata)
  where s.user_id = uid and s.session_id = session_update.session_id
  returning s.* into session;
  return lift.remember(operation_id, jsonb_build_object('session', to_jsonb(session)));
end $$;
alter function public.session_update(uuid, bigint, text, jsonb, uuid, jsonb) owner to lift_owner;

create function public.session_delete(session_id uuid, operation_id uuid default null, context jsonb default null) returns jsonb
language plpgsql volatile set search_path = '' as $$
declare
  uid uuid := lift.caller();
  earlier jsonb := lift.recall(operation_id, 'delete', to_jsonb(session_id), context);
begin
  if earlier is not null then
    return earlier;
  end if;
  delete from lift.sessions s where s.user_id = uid and s.session_id = session_delete.session_id;
  return lift.remember(operation_id, jsonb_build_object('deleted', found));
end $$;
alter function public.session_delete(uuid, uuid, jsonb) owner to lift_owner;

create function public.session_list_active(max_items integer default 50, cursor text default null, context jsonb default null)
returns jsonb language plpgsql volatile set search_path = '' as $$
begin
  return lift.page(lift.caller(), 'active', max_items, cursor);
end $$;
alter function public.session_list_active(integer, text, jsonb) owner to lift_owner;

create function public.session_list_all(
  status text default null, max_items integer default 50, cursor text default null, context jsonb default null
) returns jsonb
language plpgsql volatile set search_path = '' as $$
begin
  return lift.page(lift.caller(), status, max_items, cursor);
end $$;
alter function public.session_list_all(text, integer, text, jsonb) owner to lift_owner;

create function public.session_add_revision(
  session_id uuid, revision jsonb, operation_id uuid default null, context jsonb default null
) returns jsonb
language plpgsql volatile set search_path = '' as $$
declare
  uid uuid := lift.caller();
  earlier jsonb := lift.recall(operation_id, 'add_revision', jsonb_build_array(session_id, revision), context);
begin
  return coalesce(earlier, lift.appended(uid, session_id, lift.insert_revision(uid, session_id, revision), operation_id));
end $$;
alter function public.session_add_revision(uuid, jsonb, uuid, jsonb) owner to lift_owner;

create function public.session_add_draft(session_id uuid, draft jsonb, operation_id uuid default null, context jsonb default null)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  uid uuid := lift.caller();
  earlier jsonb := lift.recall(operation_id, 'add_draft', jsonb_build_array(session_id, draft), context);
begin
  return coalesce(earlier, lift.appended(uid, session_id, lift.insert_draft(uid, session_id, draft), operation_id));
end $$;
alter function public.session_add_draft(uuid, jsonb, uuid, jsonb) owner to lift_owner;

create function public.session_add_resolution(
  session_id uuid, resolution jsonb, operation_id uuid default null, context jsonb default null
) returns jsonb
language plpgsql volatile set search_path = '' as $$
declare
  uid uuid := lift.caller();
  earlier jsonb := lift.recall(operation_id, 'add_resolution', jsonb_build_array(session_id, resolution), context);
begin
  return coalesce(earlier, lift.appended(uid, session_id, lift.insert_resolution(uid, session_id, resolution), operation_id));
end $$;
alter function public.session_add_resolution(uuid, jsonb, uuid, jsonb) owner to lift_owner;

do $$
declare
  signature regprocedure;
begin
  for signature in
    select p.oid from pg_catalog.pg_proc p
    where p.pronamespace in ('lift'::regnamespace, 'lift_hooks'::regnamespace)
      or (p.pronamespace = 'public'::regnamespace and p.proowner = 'lift_owner'::regrole)
  loop
    execute format('revoke all on function %s from public, anon, authenticated, service_role', signature);
    execute format('grant execute on function %s to authenticated', signature);
  end loop;
end $$;

revoke create on schema public from lift_owner;
