"""Use case: what lies in staging is finished, copied into the archive and told of."""
