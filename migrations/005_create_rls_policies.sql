-- Row-level security: a caller sees and writes the rows of its own user id, and nothing else.

-- auth.uid() stands in a sub-select so that it is evaluated once a statement, not once a row.
do $$
declare
  name text;
begin
  foreach name in array array['sessions', 'session_revisions', 'session_drafts', 'hole_resolutions'] loop
    execute format('alter table lift.%I enable row level security, force row level security', name);
    -- forced, so that even the owner needs a policy: triggers and helpers run as lift_owner
    execute format('create policy %I on lift.%I for all to lift_owner using (true) with check (true)', name || '_owner', name);
    execute format(
      'create policy %I on lift.%I for select to authenticated using (user_id = (select auth.uid()))', name || '_select_own', name);
    execute format(
      'create policy %I on lift.%I for insert to authenticated with check (user_id = (select auth.uid()))', name || '_insert_own', name);
  end loop;
end $$;

create policy sessions_update_own on lift.sessions for update to authenticated
  using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
create policy sessions_delete_own on lift.sessions for delete to authenticated
  using (user_id = (select auth.uid()));

alter table lift_private.migrations enable row level security, force row level security;
create policy migrations_owner on lift_private.migrations for all to lift_owner using (true) with check (true);
create policy migrations_read on lift_private.migrations for select to lift_app, lift_operator using (true);

-- Column by column: versions, numbers, counts and finalized_at are the triggers' alone. History is only ever added to.
grant select, delete on lift.sessions to authenticated;
grant insert (user_id, session_id, source, metadata), update (status, metadata) on lift.sessions to authenticated;
grant select on lift.session_revisions, lift.session_drafts, lift.hole_resolutions to authenticated;
grant insert (user_id, session_id, "timestamp", content, revision_type, target_hole, metadata)
  on lift.session_revisions to authenticated;
grant insert (user_id, session_id, ir, validation_status, smt_results, ambiguities, created_at, metadata)
  on lift.session_drafts to authenticated;
grant insert (user_id, session_id, hole_id, resolution_text, resolution_type, applied, "timestamp", metadata)
  on lift.hole_resolutions to authenticated;
