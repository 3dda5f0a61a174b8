"""The database: its migrations and logins. Talks about the schema, not about sessions."""
