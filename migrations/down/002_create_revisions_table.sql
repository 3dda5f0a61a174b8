drop table lift.session_revisions;
