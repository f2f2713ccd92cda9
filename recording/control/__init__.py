"""Use case: start, state, stop, pause, resume."""
