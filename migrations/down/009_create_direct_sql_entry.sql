drop function lift_private.session_create(jsonb, jsonb, uuid, jsonb);
drop function lift_private.session_get(jsonb, uuid, jsonb);
drop function lift_private.session_update(jsonb, uuid, bigint, text, jsonb, uuid, jsonb);
drop function lift_private.session_delete(jsonb, uuid, uuid, jsonb);
drop function lift_private.session_list_active(jsonb, integer, text, jsonb);
drop function lift_private.session_list_all(jsonb, text, integer, text, jsonb);
drop function lift_private.session_add_revision(jsonb, uuid, jsonb, uuid, jsonb);
drop function lift_private.session_add_draft(jsonb, uuid, jsonb, uuid, jsonb);
drop function lift_private.session_add_resolution(jsonb, uuid, jsonb, uuid, jsonb);
