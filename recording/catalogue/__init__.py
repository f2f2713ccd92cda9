"""Use cases: look recordings up, and verify archived ones."""
