-- Analytics views: each shows a caller its own rows only (security_invoker: the tables' policies decide, not the view's owner).

-- creating in public is granted for as long as it takes to hand an object over, and no longer
grant create on schema public to lift_owner;

create view public.session_summary with (security_invoker = true) as
select
  s.session_id, s.user_id, s.status, s.source, s.version, s.revision_count, s.draft_count, s.resolution_count,
  s.created_at, s.updated_at, s.finalized_at,
  extract(epoch from s.finalized_at - s.created_at)::double precision as seconds_to_finalize,
  newest.validation_status as current_validation_status,
  coalesce(jsonb_array_length(newest.ambiguities), 0) as current_ambiguities
from lift.sessions s
left join lift.session_drafts newest
  on newest.user_id = s.user_id and newest.session_id = s.session_id and newest.number = s.draft_count;
comment on view public.session_summary is 'One row a session of the caller, with its counts and what the solver said of its current draft.';

create view public.user_analytics with (security_invoker = true) as
select
  s.user_id,
  count(*) as sessions,
  count(*) filter (where s.status = 'active') as active_sessions,
  count(*) filter (where s.status = 'finalized') as finalized_sessions,
  count(*) filter (where s.status = 'abandoned') as abandoned_sessions,
  sum(s.revision_count)::bigint as revisions,
  sum(s.draft_count)::bigint as drafts,
  sum(s.resolution_count)::bigint as resolutions,
  avg(extract(epoch from s.finalized_at - s.created_at))::double precision as mean_seconds_to_finalize,
  max(s.updated_at) as last_activity_at
from lift.sessions s
group by s.user_id;
comment on view public.user_analytics is 'One row: the caller''s sessions in figures.';

create view public.recent_activity with (security_invoker = true) as
select activity.user_id, activity.session_id, activity.kind, activity.number, activity.at
from (
  select s.user_id, s.session_id, 'session'::text as kind, 1 as number, s.created_at as at from lift.sessions s
  union all
  select r.user_id, r.session_id, 'revision', r.number, r."timestamp" from lift.session_revisions r
  union all
  select d.user_id, d.session_id, 'draft', d.number, d.created_at from lift.session_drafts d
  union all
  select h.user_id, h.session_id, 'resolution', h.number, h."timestamp" from lift.hole_resolutions h
) activity
where activity.at > now() - interval '30 days';
comment on view public.recent_activity is 'What the caller''s sessions saw in the last 30 days, one row an event; order by at.';

create view public.draft_validation_stats with (security_invoker = true) as
select
  d.user_id,
  d.validation_status,
  count(*) as drafts,
  count(distinct d.session_id) as sessions,
  avg(jsonb_array_length(d.ambiguities))::double precision as mean_ambiguities,
  max(d.created_at) as last_draft_at
from lift.session_drafts d
group by d.user_id, d.validation_status;
comment on view public.draft_validation_stats is 'What the solver said of the caller''s drafts, one row a verdict.';

do $$
declare
  name text;
begin
  foreach name in array array['session_summary', 'user_analytics', 'recent_activity', 'draft_validation_stats'] loop
    execute format('alter view public.%I owner to lift_owner', name);
    -- Supabase's default privileges give new objects in public to everybody
    execute format('revoke all on table public.%I from public, anon, authenticated, service_role', name);
    execute format('grant select on table public.%I to authenticated', name);
  end loop;
end $$;

revoke create on schema public from lift_owner;
