"""Sinks: each a formatter of the same event."""
