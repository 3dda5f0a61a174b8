"""Sessions in Supabase: the store over the real client, and the transport below it. Needs the extra `supabase`."""

from lift_store.supabase.store import SupabaseSessionStore, SupabaseUserSessions

__all__ = ["SupabaseSessionStore", "SupabaseUserSessions"]
