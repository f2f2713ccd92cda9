"""Use case: one chunk job becomes one committed, proved chunk in staging."""
