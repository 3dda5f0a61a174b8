-- Drafts: the versions of a session's intermediate representation, numbered from 1 in the order of arrival.
create table lift.session_drafts (
  user_id uuid not null,
  session_id uuid not null,
  number integer not null,
  ir jsonb not null,
  validation_status text not null default 'pending',
  smt_results jsonb not null default '[]',
  ambiguities jsonb not null default '[]',
  created_at timestamptz not null default now(),
  metadata jsonb not null default '{}',
  constraint session_drafts_pkey primary key (user_id, session_id, number),
  constraint session_drafts_session_fkey foreign key (user_id, session_id)
    references lift.sessions (user_id, session_id) on delete cascade,
  constraint session_drafts_number_positive check (number > 0),
  constraint session_drafts_ir_object check (jsonb_typeof(ir) = 'object' and pg_column_size(ir) <= 4194304),
  constraint session_drafts_validation_status_known
    check (validation_status in ('pending', 'valid', 'contradictory', 'incomplete')),
  constraint session_drafts_smt_results_array check (jsonb_typeof(smt_results) = 'array' and pg_column_size(smt_results) <= 4194304),
  constraint session_drafts_ambiguities_strings
    check (jsonb_typeof(ambiguities) = 'array' and not jsonb_path_exists(ambiguities, '$[*] ? (@.type() != "string" || @ == "")')),
  constraint session_drafts_ambiguities_size check (pg_column_size(ambiguities) <= 1048576),
  constraint session_drafts_metadata_object check (jsonb_typeof(metadata) = 'object' and pg_column_size(metadata) <= 65536)
);
alter table lift.session_drafts owner to lift_owner;
revoke all on table lift.session_drafts from public, anon, authenticated, service_role;
comment on table lift.session_drafts is 'Versions of a session''s IR; rows are only ever added, and go with their session.';

create index session_drafts_session_id on lift.session_drafts (session_id);
