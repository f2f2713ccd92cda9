"""Use cases: how long a recording is kept, and who holds it."""
