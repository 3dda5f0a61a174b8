drop view public.draft_validation_stats;
drop view public.recent_activity;
drop view public.user_analytics;
drop view public.session_summary;
