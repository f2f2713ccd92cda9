"""Use case: look recordings up, and read archived ones again."""
