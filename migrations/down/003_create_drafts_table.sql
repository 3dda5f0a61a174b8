drop table lift.session_drafts;
