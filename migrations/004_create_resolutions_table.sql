-- Resolutions: the answers to a session's holes, numbered from 1 in the order of arrival.
create table lift.hole_resolutions (
  user_id uuid not null,
  session_id uuid not null,
  number integer not null,
  hole_id text not null,
  resolution_text text not null,
  resolution_type text not null default 'clarify_intent',
  applied boolean not null default false,
  "timestamp" timestamptz not null default now(),
  metadata jsonb not null default '{}',
  constraint hole_resolutions_pkey primary key (user_id, session_id, number),
  constraint hole_resolutions_session_fkey foreign key (user_id, session_id)
    references lift.sessions (user_id, session_id) on delete cascade,
  constraint hole_resolutions_number_positive check (number > 0),
  constraint hole_resolutions_hole_id_length check (char_length(hole_id) between 1 and 200),
  constraint hole_resolutions_text_length check (char_length(resolution_text) between 1 and 100000),
  constraint hole_resolutions_type_known
    check (resolution_type in ('clarify_intent', 'add_constraint', 'refine_signature', 'specify_effect')),
  constraint hole_resolutions_metadata_object check (jsonb_typeof(metadata) = 'object' and pg_column_size(metadata) <= 65536)
);
alter table lift.hole_resolutions owner to lift_owner;
revoke all on table lift.hole_resolutions from public, anon, authenticated, service_role;
comment on table lift.hole_resolutions is 'Answers to a session''s holes; rows are only ever added, and go with their session.';

create index hole_resolutions_session_id on lift.hole_resolutions (session_id);
-- is this hole of the current draft answered? asked when a session is finalized
create index hole_resolutions_hole on lift.hole_resolutions (user_id, session_id, hole_id);
