"""Sessions on Supabase."""
