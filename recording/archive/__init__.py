"""Use case: requeue what is missing in staging, archive complete recordings, publish the results."""
