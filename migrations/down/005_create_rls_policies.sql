revoke all on lift.sessions, lift.session_revisions, lift.session_drafts, lift.hole_resolutions from authenticated;
revoke insert (user_id, session_id, source, metadata), update (status, metadata) on lift.sessions from authenticated;
revoke insert (user_id, session_id, "timestamp", content, revision_type, target_hole, metadata)
  on lift.session_revisions from authenticated;
revoke insert (user_id, session_id, ir, validation_status, smt_results, ambiguities, created_at, metadata)
  on lift.session_drafts from authenticated;
revoke insert (user_id, session_id, hole_id, resolution_text, resolution_type, applied, "timestamp", metadata)
  on lift.hole_resolutions from authenticated;

drop policy migrations_read on lift_private.migrations;
drop policy migrations_owner on lift_private.migrations;
alter table lift_private.migrations no force row level security, disable row level security;
drop policy sessions_delete_own on lift.sessions;
drop policy sessions_update_own on lift.sessions;
do $$
declare
  name text;
begin
  foreach name in array array['sessions', 'session_revisions', 'session_drafts', 'hole_resolutions'] loop
    execute format('drop policy %I on lift.%I', name || '_insert_own', name);
    execute format('drop policy %I on lift.%I', name || '_select_own', name);
    execute format('drop policy %I on lift.%I', name || '_owner', name);
    execute format('alter table lift.%I no force row level security, disable row level security', name);
  end loop;
end $$;
