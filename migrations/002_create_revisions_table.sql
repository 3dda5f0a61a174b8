-- Revisions: the wordings of a session's prompt, numbered from 1 in the order of arrival.
create table lift.session_revisions (
  user_id uuid not null,
  session_id uuid not null,
  number integer not null,
  "timestamp" timestamptz not null default now(),
  content text not null,
  revision_type text not null default 'manual_edit',
  target_hole text,
  metadata jsonb not null default '{}',
  constraint session_revisions_pkey primary key (user_id, session_id, number),
  constraint session_revisions_session_fkey foreign key (user_id, session_id)
    references lift.sessions (user_id, session_id) on delete cascade,
  constraint session_revisions_number_positive check (number > 0),
  constraint session_revisions_content_length check (char_length(content) between 1 and 100000),
  constraint session_revisions_type_known check (revision_type in ('initial', 'hole_fill', 'constraint_add', 'manual_edit')),
  constraint session_revisions_target_hole_length check (char_length(target_hole) between 1 and 200),
  constraint session_revisions_metadata_object check (jsonb_typeof(metadata) = 'object' and pg_column_size(metadata) <= 65536)
);
alter table lift.session_revisions owner to lift_owner;
revoke all on table lift.session_revisions from public, anon, authenticated, service_role;
comment on table lift.session_revisions is 'History of a session''s prompt; rows are only ever added, and go with their session.';

create index session_revisions_session_id on lift.session_revisions (session_id);
