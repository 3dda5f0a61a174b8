"""The HTTP face of a store: it translates, and decides nothing."""
