-- The roles stay: they belong to the server, and other databases of it may use them.
drop table lift_private.migrations;
drop table lift.sessions;
drop schema lift_private;
drop schema lift_hooks;
drop schema lift;
