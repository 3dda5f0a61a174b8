-- Triggers: what callers may not set themselves. Versions, numbers, counts, times, and the tally of sessions by status.

-- The caller, for functions that run as lift_owner, who may not be allowed into schema auth. The same expression as auth.uid().
create function lift_private.actor() returns uuid language sql stable set search_path = '' as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
  )::uuid
$$;
alter function lift_private.actor() owner to lift_owner;
revoke all on function lift_private.actor() from public, anon, authenticated, service_role;

-- Every update of a session moves its version and updated_at, and keeps the rules of its status.
create function lift_private.touch_session() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  new.version := old.version + 1;
  new.updated_at := greatest(clock_timestamp(), old.updated_at);
  if new.status is distinct from old.status then
    if old.status in ('finalized', 'abandoned') then
      raise sqlstate 'PT409' using message = format('the session is %s; its status can no longer change', old.status), hint = 'closed';
    end if;
    if new.status = 'finalized' then
      if exists (
        select from (
          select d.ambiguities from lift.session_drafts d
          where d.user_id = old.user_id and d.session_id = old.session_id
          order by d.number desc limit 1
        ) newest
        cross join lateral jsonb_array_elements_text(newest.ambiguities) hole
        where not exists (
          select from lift.hole_resolutions r
          where r.user_id = old.user_id and r.session_id = old.session_id and r.hole_id = hole
        )
      ) then
        raise sqlstate 'PT409' using
          message = 'the session has unresolved ambiguities; resolve each before finalizing it', hint = 'unresolved_ambiguities';
      end if;
      new.finalized_at := new.updated_at;
    end if;
  end if;
  return new;
end $$;
alter function lift_private.touch_session() owner to lift_owner;
revoke all on function lift_private.touch_session() from public, anon, authenticated, service_role;
create trigger sessions_touch before update on lift.sessions for each row execute function lift_private.touch_session();

-- Every new child updates its parent first, which counts it and so assigns its number: writers of one session queue on the parent's
-- row, and since no writer holds a child while it waits for the parent, they cannot deadlock. A parent that is missing or closed takes
-- no child: the insert then stores nothing. The actor is checked before the parent is touched, so that nobody can lock or probe
-- somebody else's session on the way to the policy's refusal.
create function lift_private.number_child() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  if new.user_id is distinct from lift_private.actor() then
    raise insufficient_privilege using
      message = format('new row violates row-level security policy for table "%s"', tg_table_name);
  end if;
  case tg_table_name
    when 'session_revisions' then
      update lift.sessions s set revision_count = s.revision_count + 1
      where s.user_id = new.user_id and s.session_id = new.session_id and s.status not in ('finalized', 'abandoned')
      returning s.revision_count into new.number;
    when 'session_drafts' then
      update lift.sessions s set draft_count = s.draft_count + 1
      where s.user_id = new.user_id and s.session_id = new.session_id and s.status not in ('finalized', 'abandoned')
      returning s.draft_count into new.number;
    when 'hole_resolutions' then
      update lift.sessions s set resolution_count = s.resolution_count + 1
      where s.user_id = new.user_id and s.session_id = new.session_id and s.status not in ('finalized', 'abandoned')
      returning s.resolution_count into new.number;
  end case;
  return case when found then new end;
end $$;
alter function lift_private.number_child() owner to lift_owner;
revoke all on function lift_private.number_child() from public, anon, authenticated, service_role;
create trigger session_revisions_number before insert on lift.session_revisions
  for each row execute function lift_private.number_child();
create trigger session_drafts_number before insert on lift.session_drafts
  for each row execute function lift_private.number_child();
create trigger hole_resolutions_number before insert on lift.hole_resolutions
  for each row execute function lift_private.number_child();

-- How many sessions there are by status, without counting them. Spread over shards, so that writers of different sessions seldom
-- wait for each other; a reader adds the shards up.
create table lift_private.session_tally (
  status text not null,
  shard smallint not null,
  sessions bigint not null,
  constraint session_tally_pkey primary key (status, shard)
) with (fillfactor = 50);
alter table lift_private.session_tally owner to lift_owner;
revoke all on table lift_private.session_tally from public, anon, authenticated, service_role;
alter table lift_private.session_tally enable row level security, force row level security;
create policy session_tally_owner on lift_private.session_tally for all to lift_owner using (true) with check (true);
create policy session_tally_read on lift_private.session_tally for select to lift_operator using (true);
grant select on table lift_private.session_tally to lift_operator;
comment on table lift_private.session_tally is 'Sessions by status: sum over the shards. A single shard may be negative.';

create function lift_private.tally_session() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'UPDATE' and new.status = old.status then
    return null;
  end if;
  -- in one statement and in one order, so that two writers on one shard cannot deadlock
  insert into lift_private.session_tally as t (status, shard, sessions)
  select change.status, pg_backend_pid() % 32, change.sessions
  from (
    select old.status as status, -1 as sessions where tg_op <> 'INSERT'
    union all
    select new.status, 1 where tg_op <> 'DELETE'
  ) change
  order by change.status
  on conflict (status, shard) do update set sessions = t.sessions + excluded.sessions;
  return null;
end $$;
alter function lift_private.tally_session() owner to lift_owner;
revoke all on function lift_private.tally_session() from public, anon, authenticated, service_role;
create trigger sessions_tally after insert or delete or update of status on lift.sessions
  for each row execute function lift_private.tally_session();
